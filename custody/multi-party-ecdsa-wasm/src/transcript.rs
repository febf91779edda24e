//! One hash over everything that was broadcast in a run. Parties that saw different broadcasts, or got another key,
//! have different hashes; the host compares them before a share is activated.
use crate::error::Error;
use sha2::{Digest, Sha256};

const DOMAIN: &[u8] = b"strongroom/mpc/ecdsa-dkg-transcript/v1";
/// Round number of the closing entry (public key and chain code); real rounds are 1..=3.
const RESULT_ROUND: u8 = 0xff;

pub struct Transcript(Sha256);

impl Transcript {
    pub fn new(threshold: u8, parties: u8, session_id: &[u8]) -> Result<Self, Error> {
        let mut transcript = Transcript(Sha256::new());
        transcript.0.update(DOMAIN);
        transcript.0.update([threshold, parties]);
        transcript.absorb(session_id)?;
        Ok(transcript)
    }

    /// Adds one broadcast; call in ascending order of sender within a round.
    pub fn add(&mut self, round: u8, sender: u8, payload: &[u8]) -> Result<(), Error> {
        self.0.update([round, sender]);
        self.absorb(payload)
    }

    pub fn close(mut self, public_key: &[u8], chain_code: &[u8]) -> Result<[u8; 32], Error> {
        self.add(RESULT_ROUND, 0, public_key)?;
        self.add(RESULT_ROUND, 0, chain_code)?;
        Ok(self.0.finalize().into())
    }

    /// Length first, so that no two lists of broadcasts hash the same bytes.
    fn absorb(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(bytes.len()).map_err(|_| Error::internal("transcript length"))?;
        self.0.update(length.to_le_bytes());
        self.0.update(bytes);
        Ok(())
    }
}
