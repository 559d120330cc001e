//! Submission sessions and messages as resources.

use std::cell::RefCell;

use starttls::smtp::{self, BodyKind, MemoryBody, Pipeline};
use starttls::transport::block;

use crate::Component;
use crate::error;
use crate::exports::smtp::{
    Account, Credentials, DeliveryReport, Envelope, Guest, GuestOutbox, GuestSession, Header, LoginInfo, MessageWriter,
    Outbox, Outcome, Route, SendOptionsBorrow, Session, SrvOrigin, SrvRecord, Verdict,
};
use crate::exports::tls::{ClientConfigBorrow, SessionInfo};
use crate::exports::types::{Endpoint, Error, OptionsBorrow, Reply};
use crate::message::Message;
use crate::options::{Network, Options};
use crate::pool::Sessions;
use crate::route;
use crate::send_options::Asked;
use crate::slot::Slot;
use crate::tls::ClientConfig;

pub(crate) type Client = smtp::Client<Network>;

impl Guest for Component {
    type Session = Submission;
    type Pool = Sessions;
    type MessageWriter = Message;
    type Outbox = Window;
    type SendOptions = Asked;

    fn read_header(message: Vec<u8>) -> Result<Header, Error> {
        let header = smtp::Header::of(&message)?;
        let recipients = header.recipients()?.iter().map(smtp::Mailbox::to_string).collect();
        Ok(Header {
            sender: header.sender()?.to_string(),
            recipients,
            utf8: header.needs_utf8(),
            shown: header.shown().into_owned(),
            length: header.as_bytes().len() as u64,
        })
    }

    fn routes_from_srv(
        domain: String,
        submissions: Vec<SrvRecord>,
        submission: Vec<SrvRecord>,
        origin: SrvOrigin,
    ) -> Result<Vec<Route>, Error> {
        route::from_srv(&domain, submissions, submission, origin)
    }

    fn forget_server(server: Endpoint) {
        smtp::ServerMemory::default().forget(&server.into());
    }
}

/// A submission session.
pub(crate) struct Submission(Slot<Client>);

impl GuestSession for Submission {
    fn open(to: Endpoint, tls: ClientConfigBorrow<'_>, options: OptionsBorrow<'_>) -> Result<Session, Error> {
        let (tls, options) = (tls.get::<ClientConfig>().now(), options.get::<Options>());
        let client =
            block(Client::connect_with(options.network(), &to.into(), options.with_tls(tls), &options.mail()))?;
        Ok(Session::new(Self(Slot::new(client))))
    }

    fn open_any(routes: Vec<Route>, tls: ClientConfigBorrow<'_>, options: OptionsBorrow<'_>) -> Result<Session, Error> {
        let (tls, options) = (tls.get::<ClientConfig>().now(), options.get::<Options>());
        let (routes, mail) = (route::read(routes)?, options.mail());
        let client = block(Client::connect_any(options.network(), &routes, options.with_tls(tls), &mail))?;
        Ok(Session::new(Self(Slot::new(client))))
    }

    fn greeting(&self) -> Result<Reply, Error> {
        self.0.look(|client| client.greeting().into()).ok_or_else(error::closed)
    }

    fn extensions(&self) -> Result<Vec<(String, String)>, Error> {
        let listed = |client: &Client| client.extensions().iter().map(|(k, p)| (k.to_owned(), p.to_owned())).collect();
        self.0.look(listed).ok_or_else(error::closed)
    }

    fn tls(&self) -> Option<SessionInfo> {
        self.0.look(|client| client.tls().map(SessionInfo::from)).flatten()
    }

    fn login(&self, credentials: Credentials, mechanism: Option<String>) -> Result<(), Error> {
        let credentials = with_mechanism(credentials, mechanism)?;
        self.0.with(|client| block(client.login(&credentials)))
    }

    fn login_info(&self) -> Option<LoginInfo> {
        self.0.look(smtp::Client::login_info).flatten().map(LoginInfo::from)
    }

    fn send(
        &self,
        envelope: Envelope,
        options: Option<SendOptionsBorrow<'_>>,
        message: Vec<u8>,
    ) -> Result<DeliveryReport, Error> {
        let envelope = read(envelope, options)?;
        self.0.with(|client| block(client.send(&envelope, &message)).map(DeliveryReport::from))
    }

    fn send_and_quit(
        this: Session,
        envelope: Envelope,
        options: Option<SendOptionsBorrow<'_>>,
        message: Vec<u8>,
    ) -> Result<DeliveryReport, Error> {
        let envelope = read(envelope, options)?;
        let client = this.into_inner::<Self>().0.take().ok_or_else(error::closed)?;
        Ok(block(client.send_and_quit(&envelope, MemoryBody::new(message)))?.into())
    }

    fn send_many(&self) -> Result<Outbox, Error> {
        self.0.look(|_| ()).ok_or_else(error::closed)?;
        Ok(Outbox::new(Window { slot: self.0.clone(), pipeline: RefCell::default() }))
    }

    fn begin(&self, envelope: Envelope, options: Option<SendOptionsBorrow<'_>>) -> Result<MessageWriter, Error> {
        let envelope = read(envelope, options)?;
        self.0.with(|client| block(client.begin(&envelope)))?;
        Ok(MessageWriter::new(Message::of_session(self.0.clone())))
    }

    fn noop(&self) -> Result<(), Error> {
        self.0.with(|client| block(client.noop()).map(drop))
    }

    fn reset(&self) -> Result<(), Error> {
        self.0.with(|client| block(client.rset()).map(drop))
    }

    fn vrfy(&self, address: String) -> Result<Reply, Error> {
        self.0.with(|client| block(client.vrfy(&address)).map(|reply| Reply::from(&reply)))
    }

    fn expn(&self, name: String) -> Result<Reply, Error> {
        self.0.with(|client| block(client.expn(&name)).map(|reply| Reply::from(&reply)))
    }

    fn help(&self, topic: Option<String>) -> Result<Reply, Error> {
        self.0.with(|client| block(client.help(topic.as_deref())).map(|reply| Reply::from(&reply)))
    }

    fn etrn(&self, domain: String) -> Result<Reply, Error> {
        self.0.with(|client| block(client.etrn(&domain)).map(|reply| Reply::from(&reply)))
    }

    fn xclient(&self, attributes: Vec<(String, Option<String>)>) -> Result<(), Error> {
        let attributes: Vec<_> = attributes.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        self.0.with(|client| block(client.xclient(&attributes)))
    }

    fn is_closed(&self) -> bool {
        self.0.look(Client::is_closed).unwrap_or(true)
    }

    fn quit(this: Session) {
        if let Some(client) = this.into_inner::<Self>().0.take() {
            block(client.quit());
        }
    }
}

/// Messages in flight.
pub(crate) struct Window {
    slot: Slot<Client>,
    pipeline: RefCell<Pipeline<MemoryBody<Vec<u8>>>>,
}

impl GuestOutbox for Window {
    fn push(&self, envelope: Envelope, options: Option<SendOptionsBorrow<'_>>, message: Vec<u8>) -> Result<(), Error> {
        let envelope = read(envelope, options)?;
        let body = MemoryBody::new(message);
        self.slot.with(|client| {
            block(self.pipeline.borrow_mut().push(client, envelope, body));
            Ok::<_, Error>(())
        })
    }

    fn has_room(&self) -> bool {
        self.pipeline.borrow().has_room()
    }

    fn next(&self) -> Option<Result<DeliveryReport, Error>> {
        let mut pipeline = self.pipeline.borrow_mut();
        if pipeline.is_empty() {
            return None;
        }
        let next = self.slot.with(|client| Ok::<_, Error>(block(pipeline.next(client))));
        match next {
            Ok(report) => Some(report?.map(DeliveryReport::from).map_err(Error::from)),
            Err(closed) => Some(Err(closed)),
        }
    }
}

/// An envelope with what is asked for.
pub(crate) fn read(envelope: Envelope, options: Option<SendOptionsBorrow<'_>>) -> Result<smtp::Envelope, Error> {
    let mut read = smtp::Envelope::new(envelope.sender.as_deref().unwrap_or_default(), &envelope.recipients)?;
    read.size = envelope.size;
    read.body = BodyKind::of_text(envelope.eight_bit);
    read.utf8 = envelope.utf8;
    if let Some(options) = options {
        options.get::<Asked>().ask(&mut read);
    }
    Ok(read)
}

/// What there is to log in with, by a mechanism of this name if there is one.
pub(crate) fn with_mechanism(credentials: Credentials, name: Option<String>) -> Result<smtp::Credentials, Error> {
    let credentials = smtp::Credentials::from(credentials);
    Ok(match name {
        Some(name) => credentials.with_mechanism(name.parse()?),
        None => credentials,
    })
}

impl From<Credentials> for smtp::Credentials {
    fn from(credentials: Credentials) -> Self {
        let (credentials, authzid) = match credentials {
            Credentials::Password(Account { user, secret, authzid }) => (Self::password(user, secret), authzid),
            Credentials::Token(Account { user, secret, authzid }) => (Self::token(user, secret), authzid),
            Credentials::External(authzid) => (Self::external(None), authzid),
            Credentials::Anonymous(trace) => (Self::anonymous(trace), None),
        };
        match authzid {
            Some(authzid) => credentials.with_authzid(authzid),
            None => credentials,
        }
    }
}

impl From<smtp::LoginInfo> for LoginInfo {
    fn from(login: smtp::LoginInfo) -> Self {
        let binding = login.binding.map(|binding| binding.as_str().to_owned());
        Self { mechanism: login.mechanism.name().to_owned(), binding }
    }
}

impl From<smtp::DeliveryReport> for DeliveryReport {
    fn from(report: smtp::DeliveryReport) -> Self {
        Self {
            outcome: match report.outcome() {
                smtp::Outcome::Accepted => Outcome::Accepted,
                smtp::Outcome::Partial => Outcome::Partial,
                smtp::Outcome::Refused => Outcome::Refused,
                smtp::Outcome::Unknown => Outcome::Unknown,
            },
            recipients: report.recipients().iter().map(Verdict::from).collect(),
            reply: report.reply().map(Reply::from),
            queue_id: report.queue_id(),
            error: report.error().map(Error::from),
            tls: report.tls().map(|tls| SessionInfo::from(&**tls)),
            login: report.login().map(LoginInfo::from),
        }
    }
}

impl From<&smtp::RecipientVerdict> for Verdict {
    fn from(verdict: &smtp::RecipientVerdict) -> Self {
        Self {
            recipient: verdict.recipient.to_string(),
            accepted: verdict.is_accepted(),
            reply: verdict.reply.as_ref().map(Reply::from),
        }
    }
}
