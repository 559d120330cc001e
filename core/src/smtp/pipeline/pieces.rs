//! One message whose body comes in pieces from outside.

use super::{Encoder, Message, Pipeline};
use crate::error::Result;
use crate::smtp::client::Client;
use crate::smtp::envelope::Envelope;
use crate::smtp::lines::LineEncoder;
use crate::smtp::send::NoBody;
use crate::smtp::transaction::Stage;
use crate::transport::Transport;

impl Pipeline<NoBody> {
    /// The envelope; `None` if the server will not have the body.
    pub(in crate::smtp) async fn begin<T: Transport>(
        &mut self,
        client: &mut Client<T>,
        envelope: Envelope,
    ) -> Result<Option<Encoder>> {
        let planned = self.transaction(client, envelope, &mut NoBody).await;
        let transaction = planned.map_err(|error| client.dialogue.context.explain(error))?;
        let ends = transaction.plan.line_ends;
        let chunks = transaction.plan.chunk_size.is_some();
        self.messages.push_back(Message::UnderWay(Box::new(transaction), None));
        if let Err(error) = self.open(&mut client.dialogue, self.first).await {
            client.learn_from(&error, self.due.len());
            client.dialogue.end("the connection was lost in the middle of a message");
            return Err(error);
        }
        let lines = if chunks { LineEncoder::for_chunks(ends) } else { LineEncoder::for_data(ends) };
        let invited = self.under_way(self.first).stage == Stage::Body;
        Ok(invited.then(|| Encoder::new(lines, &mut self.wire)))
    }

    /// A piece of the body. `false` if the server will have no more of it.
    pub(in crate::smtp) async fn write<T: Transport>(
        &mut self,
        client: &mut Client<T>,
        encoder: &mut Encoder,
        piece: &[u8],
    ) -> Result<bool> {
        match self.feed(&mut client.dialogue, self.first, encoder, piece).await {
            Ok(()) => Ok(self.under_way(self.first).stage == Stage::Body),
            Err(error) => {
                client.learn_from(&error, self.due.len());
                Err(self.last_words(&mut client.dialogue, self.first, error).await)
            }
        }
    }

    /// The end of the body; what goes wrong is told by the report.
    pub(in crate::smtp) async fn end<T: Transport>(&mut self, client: &mut Client<T>, encoder: Encoder) {
        if let Err(error) = self.finish(&mut client.dialogue, self.first, encoder).await {
            let error = self.last_words(&mut client.dialogue, self.first, error).await;
            self.fail(&mut client.dialogue, error);
        }
    }
}
