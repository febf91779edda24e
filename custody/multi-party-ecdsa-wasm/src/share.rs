//! What a party keeps after a DKG. The bytes have no integrity of their own: the host stores them under AEAD.
//!
//! Nothing here can be printed: the crate's types have a Debug output that shows secrets, so no type of this file has
//! one, and no text of an error is made from them.
use crate::error::Error;
use crate::guard;
use dkls23_core::protocols::{Party, PublicKeyPackage};
use elliptic_curve::sec1::ToSec1Point;
use k256::{AffinePoint, Secp256k1};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Raise when the encoding of `Party` or `PublicKeyPackage` changes.
const SHARE_VERSION: u8 = 1;
/// threshold, parties, party, public key 33, chain code 32
pub const INFO_BYTES: usize = 3 + 33 + 32;

#[derive(Serialize, Deserialize)]
pub struct Share {
    version: u8,
    party: Party<Secp256k1>,
    /// Public shares of all parties: a reshare or a repair will need them.
    package: PublicKeyPackage<Secp256k1>,
}

impl Share {
    pub fn new(party: Party<Secp256k1>, package: PublicKeyPackage<Secp256k1>) -> Self {
        Share { version: SHARE_VERSION, party, package }
    }

    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let bytes = postcard::to_allocvec(self).map_err(|e| Error::internal(e.to_string()))?;
        Ok(Zeroizing::new(bytes))
    }

    /// Accepts only a root share of a committee we would make ourselves.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let share = match postcard::take_from_bytes::<Share>(bytes) {
            Ok((share, [])) => share,
            _ => return Err(Error::input("share: undecodable")),
        };
        if share.version != SHARE_VERSION {
            return Err(Error::input("share: unknown version"));
        }
        let party = &share.party;
        let parameters = &party.parameters;
        guard::committee(parameters.threshold.into(), parameters.share_count.into())?;
        guard::member(party.party_index.as_u8().into(), parameters)?;
        let root = party.derivation_data.depth == 0 && party.derivation_data.pk == party.pk;
        let own_package = *share.package.verifying_key() == party.pk;
        if !root || !own_package || party.pk == AffinePoint::IDENTITY {
            return Err(Error::input("share: inconsistent"));
        }
        Ok(share)
    }

    /// This party with the key at `path`; `m` is the root.
    pub fn derive(&self, path: &str) -> Result<Party<Secp256k1>, Error> {
        self.party
            .derive_from_path(guard::canonical_path(path)?, no_address)
            .map_err(|e| Error::input(format!("path: {}", e.description)))
    }
}

/// Addresses are the chain adapters' work; the crate only wants a function here.
pub fn no_address(_: &AffinePoint) -> String {
    String::new()
}

/// SEC1, compressed.
pub fn compressed(point: &AffinePoint) -> Result<[u8; 33], Error> {
    point
        .to_sec1_point(true)
        .as_bytes()
        .try_into()
        .map_err(|_| Error::internal("public key is the point at infinity"))
}

/// The public facts of a party, [`INFO_BYTES`] long.
pub fn info(party: &Party<Secp256k1>) -> Result<Vec<u8>, Error> {
    let parameters = &party.parameters;
    let mut bytes = Vec::with_capacity(INFO_BYTES);
    bytes.extend([parameters.threshold, parameters.share_count, party.party_index.as_u8()]);
    bytes.extend(compressed(&party.pk)?);
    bytes.extend(party.chain_code());
    Ok(bytes)
}
