//! Byte framing between host and module. No peer-controlled length decides an allocation here.
use crate::error::{Code, Error};
use serde::{de::DeserializeOwned, Serialize};
use std::collections::BTreeMap;

/// First byte of every payload: a message of one protocol is never read as one of another. Reserved for later:
/// 3 refresh, 4 reshare, 0x11.. the protocols of other curves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    EcdsaDkg = 0x01,
    EcdsaSign = 0x02,
}

/// How a message travelled; the host has authenticated it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Direct,
    Broadcast,
}

/// One record of the inbox.
pub struct Received<'a> {
    pub from: u8,
    pub channel: Channel,
    pub payload: &'a [u8],
}

/// from: u8, channel: u8, length: u32
const INBOX_HEADER_BYTES: usize = 6;
/// protocol: u8, round: u8
const TAG_BYTES: usize = 2;

/// Reads `{ from: u8, broadcast: u8, length: u32 le, payload }*`.
pub fn inbox(mut bytes: &[u8]) -> Result<Vec<Received<'_>>, Error> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let Some((header, rest)) = bytes.split_at_checked(INBOX_HEADER_BYTES) else {
            return Err(Error::input("inbox: truncated header"));
        };
        let length = u32::from_le_bytes([header[2], header[3], header[4], header[5]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            return Err(Error::input("inbox: truncated record"));
        };
        let channel = match header[1] {
            0 => Channel::Direct,
            1 => Channel::Broadcast,
            _ => return Err(Error::input("inbox: unknown channel")),
        };
        records.push(Received { from: header[0], channel, payload });
        bytes = rest;
    }
    Ok(records)
}

/// What leaves this party: `{ to: u8 (0 = broadcast), length: u32 le, payload }*`.
#[derive(Default)]
pub struct Outbox(Vec<u8>);

impl Outbox {
    /// Appends one message and gives its payload as every receiver will see it.
    pub fn put<T: Serialize>(
        &mut self,
        to: u8,
        protocol: Protocol,
        round: u8,
        message: &T,
    ) -> Result<Vec<u8>, Error> {
        let mut payload = vec![protocol as u8, round];
        payload.extend(postcard::to_allocvec(message).map_err(|e| Error::internal(e.to_string()))?);
        let length = u32::try_from(payload.len()).map_err(|_| Error::internal("message length"))?;
        self.0.push(to);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(&payload);
        Ok(payload)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Exactly one message of this channel from each of `senders` and none from anybody else.
pub fn collect<T: DeserializeOwned>(
    records: &[Received],
    channel: Channel,
    protocol: Protocol,
    round: u8,
    senders: &[u8],
) -> Result<BTreeMap<u8, T>, Error> {
    let mut messages = BTreeMap::new();
    for record in records.iter().filter(|record| record.channel == channel) {
        if !senders.contains(&record.from) {
            return Err(Error::new(Code::UnexpectedSender, record.from, "unexpected sender"));
        }
        let message = decode(record, protocol, round)?;
        if messages.insert(record.from, message).is_some() {
            return Err(Error::new(Code::Duplicate, record.from, "duplicate message"));
        }
    }
    match senders.iter().find(|sender| !messages.contains_key(sender)) {
        Some(sender) => Err(Error::new(Code::Missing, *sender, "missing message")),
        None => Ok(messages),
    }
}

/// A round that has no messages of this channel: one that came anyway is refused, not ignored.
pub fn refuse_channel(records: &[Received], channel: Channel) -> Result<(), Error> {
    match records.iter().find(|record| record.channel == channel) {
        Some(record) => Err(Error::new(Code::Decode, record.from, "wrong channel for this round")),
        None => Ok(()),
    }
}

fn decode<T: DeserializeOwned>(record: &Received, protocol: Protocol, round: u8) -> Result<T, Error> {
    let refuse = |detail: &str| Error::new(Code::Decode, record.from, detail);
    let (tag, body) = record.payload.split_at_checked(TAG_BYTES).ok_or_else(|| refuse("no protocol tag"))?;
    if tag != [protocol as u8, round] {
        return Err(refuse("wrong protocol or round tag"));
    }
    match postcard::take_from_bytes::<T>(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(refuse("trailing bytes")),
        Err(_) => Err(refuse("undecodable message")),
    }
}
