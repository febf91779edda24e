//! Refusals that `dkls23-core` does not make. Each has a number in the project's list of guard rails.
use crate::error::{Code, Error};
use dkls23_core::protocols::{Parameters, PartiesMessage, PartyIndex};
use dkls23_core::utilities::proofs::DLogProof;
use k256::{AffinePoint, Secp256k1};
use std::collections::BTreeMap;

/// A challenge has T = 32 bits.
const CHALLENGE_BYTES: usize = 4;
/// An id shorter than a hash cannot be unique by chance.
const ID_BYTES_MIN: usize = 32;
/// Bounds the work of a derivation; wallets use two levels.
const PATH_DEPTH_MAX: usize = 8;

/// Rail 2. The engine's proof of discrete logarithm does not bind the statement, and a rogue key needs n < 2t - 1:
/// with n = 2t - 1 any two quorums share a party, so only these committees exist.
pub fn committee(threshold: u32, parties: u32) -> Result<Parameters, Error> {
    let threshold = u8::try_from(threshold).map_err(|_| Error::input("threshold above 255"))?;
    let parties = u8::try_from(parties).map_err(|_| Error::input("parties above 255"))?;
    if threshold < 2 || u16::from(parties) != 2 * u16::from(threshold) - 1 {
        return Err(Error::input("a committee is n = 2t - 1 with t >= 2"));
    }
    Parameters::new(threshold, parties).map_err(|e| Error::input(e.to_string()))
}

/// A party of this committee, checked before it is narrowed to a byte.
pub fn member(index: u32, parameters: &Parameters) -> Result<PartyIndex, Error> {
    if index > u32::from(parameters.share_count) {
        return Err(Error::input("party index outside the committee"));
    }
    let narrow = u8::try_from(index).map_err(|_| Error::input("party index above 255"))?;
    PartyIndex::new(narrow).map_err(|e| Error::input(e.to_string()))
}

pub fn session_id(id: &[u8]) -> Result<&[u8], Error> {
    match id.len() {
        0..ID_BYTES_MIN => Err(Error::input("an id has at least 32 bytes")),
        _ => Ok(id),
    }
}

/// Rail 9. One spelling per key: the crate also takes `m/+1` and `m/01`, under which a spend counter or a consumed
/// sign id would not be found again. Hardened steps do not exist for shared keys.
pub fn canonical_path(path: &str) -> Result<&str, Error> {
    let mut steps = path.split('/');
    if steps.next() != Some("m") {
        return Err(Error::input("path: must begin with m"));
    }
    for (depth, step) in steps.enumerate() {
        let digits = !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = step.len() > 1 && step.starts_with('0');
        let in_range = step.parse::<u32>().is_ok_and(|number| number < 1 << 31);
        if !digits || leading_zero || !in_range {
            return Err(Error::input("path: a step is a canonical number below 2^31"));
        }
        if depth >= PATH_DEPTH_MAX {
            return Err(Error::input("path: too deep"));
        }
    }
    Ok(path)
}

/// The parties a message names inside are those of the channel it came through.
pub fn routed(from: u8, me: PartyIndex, parties: &PartiesMessage) -> Result<(), Error> {
    if parties.sender.as_u8() != from || parties.receiver != me {
        return Err(Error::new(Code::Decode, from, "embedded parties differ from the channel"));
    }
    Ok(())
}

/// Rail 1. The crate accepts challenges of one to three bytes and of value zero, which makes a forged proof
/// about 2^187 times cheaper. An honest prover sends a zero with probability 2^-26: the run is then repeated.
pub fn strong_proof(from: u8, proof: &DLogProof<Secp256k1>) -> Result<(), Error> {
    for round in &proof.proofs {
        if round.challenge.len() != CHALLENGE_BYTES {
            return Err(Error::new(Code::Guard, from, "proof challenge is not 4 bytes"));
        }
        if round.challenge.iter().all(|byte| *byte == 0) {
            return Err(Error::new(Code::Guard, from, "proof challenge is zero"));
        }
    }
    if proof.point == AffinePoint::IDENTITY {
        return Err(Error::new(Code::Guard, from, "proof of the point at infinity"));
    }
    Ok(())
}

/// Rail 3. Commitments and proofs are not bound to their sender, so a copy of another party's would verify. The
/// party whose value equals our own has copied it; between two others nobody can tell who did.
pub fn distinct<T: PartialEq>(me: u8, values: &BTreeMap<u8, T>, what: &str) -> Result<(), Error> {
    for (party, value) in values {
        for (other, copy) in values.range(party + 1..) {
            if value == copy {
                let blamed = match (*party == me, *other == me) {
                    (true, _) => *other,
                    (_, true) => *party,
                    _ => 0,
                };
                let detail = format!("duplicate {what}: parties {party} and {other}");
                return Err(Error::new(Code::Guard, blamed, detail));
            }
        }
    }
    Ok(())
}
