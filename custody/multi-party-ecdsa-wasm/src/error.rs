//! The one error type of the module and its codes, which are the negative return values of the ABI.
use dkls23_core::protocols::{Abort, AbortKind, AbortReason};

/// Return values below zero. Numbers are part of the ABI: never reuse one.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// No session has this handle.
    BadHandle = -1,
    /// The host's own argument is not acceptable.
    BadInput = -2,
    /// A peer's message cannot be decoded or names other parties than the channel did.
    Decode = -3,
    /// A peer's message is missing.
    Missing = -4,
    /// A peer sent two messages of one kind.
    Duplicate = -5,
    /// A message came from somebody outside this session.
    UnexpectedSender = -6,
    /// The session has ended.
    State = -7,
    /// A check failed; a new session with the same party is allowed.
    Abort = -8,
    /// A check failed in a way that tells the party something about our OT state: never sign with it again under
    /// these shares.
    Ban = -9,
    /// A guard rail of this crate refused a peer's message.
    Guard = -10,
    /// A state that cannot occur.
    Internal = -12,
}

/// An error, the party it is blamed on (0: nobody can be named) and a text without secrets.
pub struct Error {
    pub code: Code,
    pub party: u8,
    pub detail: String,
}

impl Error {
    pub fn new(code: Code, party: u8, detail: impl Into<String>) -> Self {
        Error { code, party, detail: detail.into() }
    }

    pub fn input(detail: impl Into<String>) -> Self {
        Error::new(Code::BadInput, 0, detail)
    }

    pub fn internal(detail: impl Into<String>) -> Self {
        Error::new(Code::Internal, 0, detail)
    }
}

impl From<Abort> for Error {
    fn from(abort: Abort) -> Self {
        let detail = abort.description();
        match abort.kind {
            AbortKind::BanCounterparty(party) => Error::new(Code::Ban, party.as_u8(), detail),
            AbortKind::Recoverable => Error::new(Code::Abort, blamed(&abort.reason), detail),
        }
    }
}

/// Who a recoverable abort points at. Zero where the protocol cannot tell, for example when the polynomial or the
/// final signature is inconsistent.
fn blamed(reason: &AbortReason) -> u8 {
    use AbortReason as R;
    match reason {
        R::ProofVerificationFailed { counterparty }
        | R::CommitmentMismatch { counterparty }
        | R::TrivialInstancePoint { counterparty }
        | R::SessionBindingMismatch { counterparty }
        | R::ZeroShareDecommitFailed { counterparty }
        | R::OtConsistencyCheckFailed { counterparty }
        | R::MultiplicationVerificationFailed { counterparty, .. }
        | R::GammaUInconsistency { counterparty } => counterparty.as_u8(),
        R::ChainCodeCommitmentFailed { party }
        | R::MissingCommittedPoint { party }
        | R::MissingMessageFromParty { party } => party.as_u8(),
        R::UnexpectedSender { sender } | R::DuplicateSender { sender } => sender.as_u8(),
        _ => 0,
    }
}
