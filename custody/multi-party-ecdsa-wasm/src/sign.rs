//! Signing: t parties, three rounds, one signature over a 32-byte digest.
use crate::codec::{collect, inbox, refuse_channel, Channel, Outbox, Protocol, Received};
use crate::error::{Code, Error};
use crate::guard;
use crate::share::{compressed, Share};
use dkls23_core::protocols::signing::{
    Broadcast3to4, KeepPhase1to2, KeepPhase2to3, SignData, TransmitPhase1to2, TransmitPhase2to3,
    UniqueKeep1to2, UniqueKeep2to3,
};
use dkls23_core::protocols::{Party, PartyIndex};
use k256::Secp256k1;
use std::collections::BTreeMap;
use std::mem;

use crate::abi::Step;

/// r 32, s 32, recovery id 1, public key 33
const RESULT_BYTES: usize = 32 + 32 + 1 + 33;

/// What is kept between rounds. Taken out before a step, so an error leaves nothing to continue from.
enum Stage {
    Committed(UniqueKeep1to2<Secp256k1>, BTreeMap<PartyIndex, KeepPhase1to2<Secp256k1>>),
    Multiplied(UniqueKeep2to3<Secp256k1>, BTreeMap<PartyIndex, KeepPhase2to3<Secp256k1>>),
    Shared(String, Broadcast3to4<Secp256k1>),
    Ended,
}

pub struct Signing {
    party: Party<Secp256k1>,
    data: SignData,
    counterparties: Vec<u8>,
    stage: Stage,
}

impl Signing {
    /// `signers`: exactly t members, ascending, this party among them.
    pub fn new(
        share: &Share,
        path: &str,
        digest: [u8; 32],
        sign_id: &[u8],
        signers: &[u8],
    ) -> Result<(Self, Outbox), Error> {
        let party = share.derive(path)?;
        let me = party.party_index.as_u8();
        let parameters = &party.parameters;
        for signer in signers {
            guard::member((*signer).into(), parameters)?;
        }
        let ascending = signers.windows(2).all(|pair| pair[0] < pair[1]);
        if signers.len() != usize::from(parameters.threshold) || !ascending || !signers.contains(&me) {
            return Err(Error::input("signers: exactly t, ascending, this party among them"));
        }
        let counterparties: Vec<u8> = signers.iter().copied().filter(|signer| *signer != me).collect();
        let data = SignData {
            sign_id: guard::session_id(sign_id)?.to_vec(),
            counterparties: counterparties
                .iter()
                .map(|party| guard::member((*party).into(), parameters))
                .collect::<Result<_, _>>()?,
            message_hash: digest,
        };
        let (unique, kept, messages) = party.sign_phase1(&data)?;
        let mut outbox = Outbox::default();
        for message in &messages {
            outbox.put(message.parties.receiver.as_u8(), Protocol::EcdsaSign, 1, message)?;
        }
        let stage = Stage::Committed(unique, kept);
        Ok((Signing { party, data, counterparties, stage }, outbox))
    }

    pub fn step(&mut self, input: &[u8]) -> Result<Step, Error> {
        let records = inbox(input)?;
        match mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Committed(unique, kept) => self.multiply(&records, unique, kept),
            Stage::Multiplied(unique, kept) => self.share(&records, unique, kept),
            Stage::Shared(x_coordinate, own) => self.assemble(&records, &x_coordinate, own),
            Stage::Ended => Err(Error::new(Code::State, 0, "the session has ended")),
        }
    }

    fn multiply(
        &mut self,
        records: &[Received],
        unique: UniqueKeep1to2<Secp256k1>,
        kept: BTreeMap<PartyIndex, KeepPhase1to2<Secp256k1>>,
    ) -> Result<Step, Error> {
        refuse_channel(records, Channel::Broadcast)?;
        let received: BTreeMap<u8, TransmitPhase1to2> =
            collect(records, Channel::Direct, Protocol::EcdsaSign, 1, &self.counterparties)?;
        for (from, message) in &received {
            guard::routed(*from, self.party.party_index, &message.parties)?;
        }
        let received: Vec<_> = received.into_values().collect();
        let (unique, kept, messages) = self.party.sign_phase2(&self.data, unique, kept, &received)?;
        let mut outbox = Outbox::default();
        for message in &messages {
            outbox.put(message.parties.receiver.as_u8(), Protocol::EcdsaSign, 2, message)?;
        }
        self.stage = Stage::Multiplied(unique, kept);
        Ok(Step::More(outbox.into_bytes()))
    }

    fn share(
        &mut self,
        records: &[Received],
        unique: UniqueKeep2to3<Secp256k1>,
        kept: BTreeMap<PartyIndex, KeepPhase2to3<Secp256k1>>,
    ) -> Result<Step, Error> {
        refuse_channel(records, Channel::Broadcast)?;
        let received: BTreeMap<u8, TransmitPhase2to3<Secp256k1>> =
            collect(records, Channel::Direct, Protocol::EcdsaSign, 2, &self.counterparties)?;
        for (from, message) in &received {
            guard::routed(*from, self.party.party_index, &message.parties)?;
        }
        let received: Vec<_> = received.into_values().collect();
        let (x_coordinate, own) = self.party.sign_phase3(&self.data, unique, kept, &received)?;
        let mut outbox = Outbox::default();
        outbox.put(0, Protocol::EcdsaSign, 3, &own)?;
        self.stage = Stage::Shared(x_coordinate, own);
        Ok(Step::More(outbox.into_bytes()))
    }

    fn assemble(
        &mut self,
        records: &[Received],
        x_coordinate: &str,
        own: Broadcast3to4<Secp256k1>,
    ) -> Result<Step, Error> {
        refuse_channel(records, Channel::Direct)?;
        let received: BTreeMap<u8, Broadcast3to4<Secp256k1>> =
            collect(records, Channel::Broadcast, Protocol::EcdsaSign, 3, &self.counterparties)?;
        let mut parts: Vec<_> = received.into_values().collect();
        parts.push(own);
        // Rail 9: the low s is asked for here; the host checks it again with independent code.
        let normalize = true;
        let (s, recovery_id) = self.party.sign_phase4(&self.data, x_coordinate, &parts, normalize)?;
        let mut result = Vec::with_capacity(RESULT_BYTES);
        result.extend(scalar_bytes(x_coordinate)?);
        result.extend(scalar_bytes(&s)?);
        result.push(recovery_id);
        result.extend(compressed(&self.party.pk)?);
        Ok(Step::Done(result))
    }
}

/// The crate hands scalars out as 64 hexadecimal digits.
fn scalar_bytes(hex: &str) -> Result<[u8; 32], Error> {
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return Err(Error::internal("scalar length"));
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble =
            |digit: u8| char::from(digit).to_digit(16).ok_or_else(|| Error::internal("scalar digit"));
        let value = nibble(pair[0])? << 4 | nibble(pair[1])?;
        *byte = u8::try_from(value).map_err(|_| Error::internal("scalar byte"))?;
    }
    Ok(bytes)
}
