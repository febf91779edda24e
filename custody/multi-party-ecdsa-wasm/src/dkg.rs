//! Distributed key generation: all n parties, three rounds, nobody ever holds the key.
//!
//! Round 1 deals polynomial fragments (secret, peer to peer). Round 2 broadcasts commitments, round 3 opens them and
//! sets up the pairwise oblivious transfers. A broadcast enters the transcript exactly as it was received.
use crate::abi::Step;
use crate::codec::{collect, inbox, refuse_channel, Channel, Outbox, Protocol, Received};
use crate::error::{Code, Error};
use crate::guard;
use crate::share::{compressed, info, no_address, Share};
use crate::transcript::Transcript;
use dkls23_core::protocols::dkg::{
    BroadcastDerivationPhase2to4, BroadcastDerivationPhase3to4, ProofCommitment, TransmitInitMulPhase3to4,
    TransmitInitZeroSharePhase2to4, TransmitInitZeroSharePhase3to4,
};
use dkls23_core::protocols::dkg_session::DkgSession;
use dkls23_core::protocols::{Parameters, PartyIndex};
use dkls23_core::utilities::proofs::DLogProof;
use k256::{Scalar, Secp256k1};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::mem;
use zeroize::{Zeroize, Zeroizing};

/// One value of a party's polynomial.
#[derive(Serialize, Deserialize)]
struct Fragment(Scalar);
impl Drop for Fragment {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Round 2: what will be opened in round 3.
#[derive(Serialize, Deserialize)]
struct Commitments {
    proof: [u8; 32],
    chain_code: BroadcastDerivationPhase2to4,
}
/// Round 3, to everybody.
#[derive(Serialize, Deserialize)]
struct Openings {
    proof: DLogProof<Secp256k1>,
    chain_code: BroadcastDerivationPhase3to4,
}
/// Round 3, to one peer.
#[derive(Serialize, Deserialize)]
struct PairSetup {
    zero_share: TransmitInitZeroSharePhase3to4,
    multiplication: TransmitInitMulPhase3to4<Secp256k1>,
}

/// Own broadcasts and the commitments of all, held between rounds 2 and 3.
struct Opened {
    commitments: BTreeMap<u8, Commitments>,
    zero_commitments: Vec<TransmitInitZeroSharePhase2to4>,
    own: Openings,
    own_payload: Vec<u8>,
    /// The points of our own multiplication proofs, by receiver.
    own_setup_points: BTreeMap<u8, k256::AffinePoint>,
}

enum Stage {
    Dealt(Fragment),
    Committed {
        proof: DLogProof<Secp256k1>,
        own: Commitments,
        own_payload: Vec<u8>,
        /// The commitments we sent to each peer: one that comes back is a reflection.
        zero_sent: BTreeMap<u8, [u8; 32]>,
    },
    Opened(Opened),
    Ended,
}

pub struct Dkg {
    parameters: Parameters,
    me: PartyIndex,
    others: Vec<u8>,
    session: Option<DkgSession<Secp256k1>>,
    transcript: Option<Transcript>,
    stage: Stage,
}

impl Dkg {
    pub fn new(threshold: u32, parties: u32, me: u32, session_id: &[u8]) -> Result<(Self, Outbox), Error> {
        let parameters = guard::committee(threshold, parties)?;
        let me = guard::member(me, &parameters)?;
        let session_id = guard::session_id(session_id)?;
        let transcript = Transcript::new(parameters.threshold, parameters.share_count, session_id)?;
        let session = DkgSession::new(parameters.clone(), me, session_id.to_vec());
        let others: Vec<u8> = (1..=parameters.share_count).filter(|party| *party != me.as_u8()).collect();

        let fragments = Zeroizing::new(session.phase1());
        let fragment_of = |party: u8| Fragment(fragments[usize::from(party) - 1]);
        let mut outbox = Outbox::default();
        for other in &others {
            outbox.put(*other, Protocol::EcdsaDkg, 1, &fragment_of(*other))?.zeroize();
        }
        let stage = Stage::Dealt(fragment_of(me.as_u8()));
        let dkg = Dkg { parameters, me, others, session: Some(session), transcript: Some(transcript), stage };
        Ok((dkg, outbox))
    }

    pub fn step(&mut self, input: &[u8]) -> Result<Step, Error> {
        let records = inbox(input)?;
        match mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Dealt(own) => self.commit(&records, own),
            Stage::Committed { proof, own, own_payload, zero_sent } => {
                self.open(&records, proof, own, &own_payload, &zero_sent)
            }
            Stage::Opened(opened) => self.finish(&records, opened),
            Stage::Ended => Err(Error::new(Code::State, 0, "the session has ended")),
        }
    }

    fn commit(&mut self, records: &[Received], own: Fragment) -> Result<Step, Error> {
        refuse_channel(records, Channel::Broadcast)?;
        let mut dealt: BTreeMap<u8, Fragment> =
            collect(records, Channel::Direct, Protocol::EcdsaDkg, 1, &self.others)?;
        dealt.insert(self.me.as_u8(), own);
        let fragments: Zeroizing<Vec<Scalar>> = Zeroizing::new(dealt.values().map(|f| f.0).collect());
        let (proof, zero_commitments, chain_code) = self.session_mut()?.phase2(&fragments)?;

        let own = Commitments { proof: proof.commitment, chain_code };
        let mut outbox = Outbox::default();
        let own_payload = outbox.put(0, Protocol::EcdsaDkg, 2, &own)?;
        let mut zero_sent = BTreeMap::new();
        for message in &zero_commitments {
            let receiver = message.parties.receiver.as_u8();
            outbox.put(receiver, Protocol::EcdsaDkg, 2, message)?;
            zero_sent.insert(receiver, message.commitment);
        }
        self.stage = Stage::Committed { proof: proof.proof, own, own_payload, zero_sent };
        Ok(Step::More(outbox.into_bytes()))
    }

    /// Rail 3: our proof leaves only here, when the commitments of all are held and no two are equal.
    fn open(
        &mut self,
        records: &[Received],
        proof: DLogProof<Secp256k1>,
        own: Commitments,
        own_payload: &[u8],
        zero_sent: &BTreeMap<u8, [u8; 32]>,
    ) -> Result<Step, Error> {
        let me = self.me.as_u8();
        let mut commitments: BTreeMap<u8, Commitments> =
            collect(records, Channel::Broadcast, Protocol::EcdsaDkg, 2, &self.others)?;
        let zero_received: BTreeMap<u8, TransmitInitZeroSharePhase2to4> =
            collect(records, Channel::Direct, Protocol::EcdsaDkg, 2, &self.others)?;
        for (from, message) in &zero_received {
            guard::routed(*from, self.me, &message.parties)?;
            if zero_sent.get(from) == Some(&message.commitment) {
                return Err(Error::new(Code::Guard, *from, "our own zero-share commitment came back"));
            }
        }
        commitments.insert(me, own);
        for (from, commitment) in &commitments {
            sent_by(*from, commitment.chain_code.sender_index)?;
        }
        guard::distinct(me, &each(&commitments, |c| c.proof), "proof commitment")?;
        guard::distinct(me, &each(&commitments, |c| c.chain_code.cc_commitment), "chain code commitment")?;
        self.record(2, records, own_payload)?;

        let (zero_shares, multiplications, chain_code) = self.session_mut()?.phase3()?;
        let own = Openings { proof, chain_code };
        let mut outbox = Outbox::default();
        let own_payload = outbox.put(0, Protocol::EcdsaDkg, 3, &own)?;
        let mut own_setup_points = BTreeMap::new();
        for (zero_share, multiplication) in zero_shares.into_iter().zip(multiplications) {
            let receiver = zero_share.parties.receiver.as_u8();
            if multiplication.parties.receiver.as_u8() != receiver {
                return Err(Error::internal("pair setup out of order"));
            }
            own_setup_points.insert(receiver, multiplication.dlog_proof.point);
            let setup = PairSetup { zero_share, multiplication };
            outbox.put(receiver, Protocol::EcdsaDkg, 3, &setup)?.zeroize();
        }
        self.stage = Stage::Opened(Opened {
            commitments,
            zero_commitments: zero_received.into_values().collect(),
            own,
            own_payload,
            own_setup_points,
        });
        Ok(Step::More(outbox.into_bytes()))
    }

    fn finish(&mut self, records: &[Received], opened: Opened) -> Result<Step, Error> {
        let me = self.me.as_u8();
        let mut openings: BTreeMap<u8, Openings> =
            collect(records, Channel::Broadcast, Protocol::EcdsaDkg, 3, &self.others)?;
        let setups: BTreeMap<u8, PairSetup> =
            collect(records, Channel::Direct, Protocol::EcdsaDkg, 3, &self.others)?;
        self.check_setups(&setups, &opened.own_setup_points)?;
        openings.insert(me, opened.own);
        for (from, opening) in &openings {
            sent_by(*from, opening.chain_code.sender_index)?;
            guard::strong_proof(*from, &opening.proof)?;
        }
        guard::distinct(me, &each(&openings, |o| o.proof.point), "public point")?;
        guard::distinct(me, &each(&openings, |o| o.proof.rand_commitments.clone()), "proof")?;
        guard::distinct(me, &each(&openings, |o| o.chain_code.aux_chain_code), "chain code")?;
        self.record(3, records, &opened.own_payload)?;

        let (mut proofs, mut committed, mut revealed) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for ((from, commitment), opening) in opened.commitments.into_iter().zip(openings.into_values()) {
            let index = guard::member(from.into(), &self.parameters)?;
            proofs.push(ProofCommitment { index, proof: opening.proof, commitment: commitment.proof });
            committed.insert(index, commitment.chain_code);
            revealed.insert(index, opening.chain_code);
        }
        let (zero_shares, multiplications): (Vec<_>, Vec<_>) =
            setups.into_values().map(|setup| (setup.zero_share, setup.multiplication)).unzip();
        let session = self.session.take().ok_or_else(|| Error::internal("no session"))?;
        let (party, package) = session.phase4(
            &proofs,
            &opened.zero_commitments,
            &zero_shares,
            &multiplications,
            &committed,
            &revealed,
            no_address,
        )?;
        let transcript = self.transcript.take().ok_or_else(|| Error::internal("no transcript"))?;
        let hash = transcript.close(&compressed(&party.pk)?, party.chain_code())?;
        let public = info(&party)?;
        let share = Share::new(party, package).encode()?;
        Ok(Step::Done([&hash[..], &public[..], &share[..]].concat()))
    }

    /// The pairwise part of round 3: routing, rail 1 on the multiplication proof, rail 3 against reflection and copies.
    fn check_setups(
        &self,
        setups: &BTreeMap<u8, PairSetup>,
        own_points: &BTreeMap<u8, k256::AffinePoint>,
    ) -> Result<(), Error> {
        for (from, setup) in setups {
            guard::routed(*from, self.me, &setup.zero_share.parties)?;
            guard::routed(*from, self.me, &setup.multiplication.parties)?;
            guard::strong_proof(*from, &setup.multiplication.dlog_proof)?;
            if own_points.values().any(|point| *point == setup.multiplication.dlog_proof.point) {
                return Err(Error::new(Code::Guard, *from, "our own multiplication proof came back"));
            }
        }
        let points = each(setups, |setup| setup.multiplication.dlog_proof.point);
        guard::distinct(self.me.as_u8(), &points, "multiplication point")
    }

    /// Every broadcast of a round, ours included, in ascending order of sender.
    fn record(&mut self, round: u8, records: &[Received], own_payload: &[u8]) -> Result<(), Error> {
        let mut payloads: BTreeMap<u8, &[u8]> = records
            .iter()
            .filter(|record| record.channel == Channel::Broadcast)
            .map(|record| (record.from, record.payload))
            .collect();
        payloads.insert(self.me.as_u8(), own_payload);
        let transcript = self.transcript.as_mut().ok_or_else(|| Error::internal("no transcript"))?;
        payloads.iter().try_for_each(|(sender, payload)| transcript.add(round, *sender, payload))
    }

    fn session_mut(&mut self) -> Result<&mut DkgSession<Secp256k1>, Error> {
        self.session.as_mut().ok_or_else(|| Error::internal("no session"))
    }
}

fn each<T, V>(messages: &BTreeMap<u8, T>, value: impl Fn(&T) -> V) -> BTreeMap<u8, V> {
    messages.iter().map(|(party, message)| (*party, value(message))).collect()
}

fn sent_by(from: u8, embedded: PartyIndex) -> Result<(), Error> {
    if embedded.as_u8() != from {
        return Err(Error::new(Code::Decode, from, "embedded sender differs from the channel"));
    }
    Ok(())
}
