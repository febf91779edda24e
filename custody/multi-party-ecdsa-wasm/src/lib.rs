//! Threshold ECDSA over secp256k1 (DKLs23, crate `dkls23-core`) behind a plain byte ABI for `wasm32-wasip1`.
//!
//! The module does the cryptography of one party. The host authenticates and encrypts messages, echoes broadcasts,
//! remembers bans and decides what may be signed. Session state never leaves the linear memory, nothing survives a
//! trap, and an instance is meant for one session.
//!
//! What this crate adds to `dkls23-core` are the refusals in [`guard`]: cases the crate accepts and the protocol's
//! proof does not cover.
#![deny(unsafe_code)]

pub mod abi;
pub mod codec;
pub mod dkg;
pub mod error;
pub mod guard;
pub mod share;
pub mod sign;
pub mod transcript;
