//! How a server behaves: what the RFCs leave open, and what goes wrong.

use crate::Dice;

/// What becomes of a command during a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum During {
    /// It is answered after the transfer.
    Waits,
    /// It is answered at once.
    AtOnce,
    /// It is refused at once.
    Refused,
    /// It is refused as unknown, and what stands behind it in the same flight as well.
    ThrownAway,
    /// Nobody ever answers.
    Ignored,
    /// EPSV gives the transfer up; everything else waits.
    EpsvEnds,
    /// EPSV is answered at once, everything else waits.
    EpsvAtOnce,
}

/// How ABOR is answered during a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abor {
    CutAndDone,
    DoneTwice,
    Once,
    NoTransfer,
    AfterTransfer,
    Nothing,
}

/// What goes wrong, and how often: once in so many chances, 0 for never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    pub(crate) during: During,
    pub(crate) abor: Abor,
    pub(crate) one_port: bool,
    pub(crate) epsv: bool,
    pub(crate) mlsd: bool,
    pub(crate) announces: bool,
    pub(crate) multiline: bool,
    /// The final reply before the last of the data.
    pub(crate) verdict_early: bool,
    pub(crate) goodbye: u64,
    pub(crate) truncates: u64,
    pub(crate) extra: u64,
    pub(crate) silent: u64,
    /// Milliseconds before a reply.
    pub(crate) slow: u64,
}

impl Manners {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let during = [
            During::Waits,
            During::Waits,
            During::AtOnce,
            During::Refused,
            During::ThrownAway,
            During::Ignored,
            During::EpsvEnds,
            During::EpsvAtOnce,
        ];
        let abor =
            [Abor::CutAndDone, Abor::DoneTwice, Abor::Once, Abor::NoTransfer, Abor::AfterTransfer, Abor::Nothing];
        let faulty = dice.one_in(2);
        let mut rare = |n| if faulty && dice.one_in(3) { n } else { 0 };
        let (goodbye, truncates, extra, silent) = (rare(25), rare(4), rare(25), rare(25));
        Self {
            during: during[dice.below(during.len() as u64) as usize],
            abor: abor[dice.below(abor.len() as u64) as usize],
            one_port: dice.one_in(4),
            epsv: !dice.one_in(6),
            mlsd: !dice.one_in(3),
            announces: truncates > 0 || dice.one_in(2),
            multiline: dice.one_in(4),
            verdict_early: dice.one_in(4),
            goodbye,
            truncates,
            extra,
            silent,
            slow: [0, 0, 0, 40, 900, 5_000][dice.below(6) as usize],
        }
    }

    /// Whether every operation that nobody cancels has its answer.
    pub(crate) fn are_good(&self) -> bool {
        let never = self.goodbye + self.truncates + self.extra + self.silent == 0;
        // In clear text nothing tells a file that was given up for EPSV from a whole one but the server's words.
        never && self.slow < 3_000 && self.during != During::EpsvEnds
    }
}
