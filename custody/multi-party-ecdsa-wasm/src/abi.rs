//! The exported functions. Values from 0 up mean success, below 0 a [`Code`]; bytes are in the output buffer, for an
//! error as `{ blamed party: u8, text }`.
//!
//! A protocol is opened by its own `*_new` function and driven by the one [`mpc_session_step`], so another protocol
//! (refresh, reshare, another curve) adds an opener and a [`Session`] variant and changes nothing else.
#![allow(unsafe_code)]
use crate::codec::Outbox;
use crate::dkg::Dkg;
use crate::error::{Code, Error};
use crate::share::{info, Share};
use crate::sign::Signing;
use std::cell::RefCell;
use std::collections::BTreeMap;
use zeroize::Zeroize;

const ABI_VERSION: i32 = 1;

/// What one step gives: the next round's outbox, or the result.
pub enum Step {
    More(Vec<u8>),
    Done(Vec<u8>),
}

enum Session {
    EcdsaDkg(Dkg),
    EcdsaSign(Signing),
}

#[derive(Default)]
struct State {
    last_handle: i32,
    sessions: BTreeMap<i32, Box<Session>>,
    output: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

fn with_state<T>(use_state: impl FnOnce(&mut State) -> T) -> T {
    STATE.with(|state| use_state(&mut state.borrow_mut()))
}

fn put_output(bytes: Vec<u8>) {
    with_state(|state| {
        state.output.zeroize();
        state.output = bytes;
    });
}

fn refuse(error: Error) -> i32 {
    let mut bytes = vec![error.party];
    bytes.extend_from_slice(error.detail.as_bytes());
    put_output(bytes);
    error.code as i32
}

fn open(opened: Result<(Session, Outbox), Error>) -> i32 {
    match opened {
        Err(error) => refuse(error),
        Ok((session, outbox)) => {
            put_output(outbox.into_bytes());
            with_state(|state| {
                state.last_handle += 1;
                state.sessions.insert(state.last_handle, Box::new(session));
                state.last_handle
            })
        }
    }
}

/// # Safety
/// `(pointer, length)` is a region the host got from [`mpc_alloc`] and has filled.
unsafe fn region<'a>(pointer: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(pointer, length)
    }
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::input("text is not UTF-8"))
}

#[no_mangle]
pub extern "C" fn mpc_abi_version() -> i32 {
    ABI_VERSION
}

#[no_mangle]
pub extern "C" fn mpc_alloc(length: usize) -> *mut u8 {
    let mut buffer: Vec<u8> = Vec::with_capacity(length.max(1));
    let pointer = buffer.as_mut_ptr();
    std::mem::forget(buffer);
    pointer
}

/// Zeroes a region before it is returned, because inputs hold shares.
///
/// # Safety
/// `(pointer, length)` came from [`mpc_alloc`], was filled, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn mpc_free(pointer: *mut u8, length: usize) {
    std::slice::from_raw_parts_mut(pointer, length).zeroize();
    drop(Vec::from_raw_parts(pointer, 0, length.max(1)));
}

#[no_mangle]
pub extern "C" fn mpc_out_ptr() -> *const u8 {
    with_state(|state| state.output.as_ptr())
}

#[no_mangle]
pub extern "C" fn mpc_out_len() -> usize {
    with_state(|state| state.output.len())
}

#[no_mangle]
pub extern "C" fn mpc_out_clear() {
    put_output(Vec::new());
}

#[no_mangle]
pub extern "C" fn mpc_session_free(handle: i32) -> i32 {
    match with_state(|state| state.sessions.remove(&handle)) {
        Some(_) => 0,
        None => Code::BadHandle as i32,
    }
}

/// 1: the next round's outbox is in the output; 0: the result is. On 0 and below the session is gone.
///
/// # Safety
/// See [`region`].
#[no_mangle]
pub unsafe extern "C" fn mpc_session_step(handle: i32, inbox: *const u8, inbox_length: usize) -> i32 {
    let Some(mut session) = with_state(|state| state.sessions.remove(&handle)) else {
        return refuse(Error::new(Code::BadHandle, 0, "no such session"));
    };
    let input = region(inbox, inbox_length);
    let step = match &mut *session {
        Session::EcdsaDkg(dkg) => dkg.step(input),
        Session::EcdsaSign(signing) => signing.step(input),
    };
    match step {
        Ok(Step::More(outbox)) => {
            put_output(outbox);
            with_state(|state| state.sessions.insert(handle, session));
            1
        }
        Ok(Step::Done(result)) => {
            put_output(result);
            0
        }
        Err(error) => refuse(error),
    }
}

/// Result of the last step: transcript hash 32, share info, share.
///
/// # Safety
/// See [`region`].
#[no_mangle]
pub unsafe extern "C" fn ecdsa_dkg_new(
    threshold: u32,
    parties: u32,
    party: u32,
    session_id: *const u8,
    session_id_length: usize,
) -> i32 {
    let session_id = region(session_id, session_id_length);
    open(Dkg::new(threshold, parties, party, session_id).map(|(dkg, out)| (Session::EcdsaDkg(dkg), out)))
}

/// Result of the last step: r 32, s 32, recovery id 1, public key 33. `signers` is one byte per party.
///
/// # Safety
/// See [`region`].
#[no_mangle]
pub unsafe extern "C" fn ecdsa_sign_new(
    share: *const u8,
    share_length: usize,
    path: *const u8,
    path_length: usize,
    digest: *const u8,
    digest_length: usize,
    sign_id: *const u8,
    sign_id_length: usize,
    signers: *const u8,
    signers_length: usize,
) -> i32 {
    let share = region(share, share_length);
    let path = region(path, path_length);
    let digest = region(digest, digest_length);
    let sign_id = region(sign_id, sign_id_length);
    let signers = region(signers, signers_length);
    let begin = || {
        let digest = digest.try_into().map_err(|_| Error::input("a digest has 32 bytes"))?;
        let share = Share::decode(share)?;
        let (signing, outbox) = Signing::new(&share, text(path)?, digest, sign_id, signers)?;
        Ok((Session::EcdsaSign(signing), outbox))
    };
    open(begin())
}

/// Output: threshold, parties, party, public key 33, chain code 32, both at `path`.
///
/// # Safety
/// See [`region`].
#[no_mangle]
pub unsafe extern "C" fn ecdsa_share_info(
    share: *const u8,
    share_length: usize,
    path: *const u8,
    path_length: usize,
) -> i32 {
    let share = region(share, share_length);
    let path = region(path, path_length);
    let read = || info(&Share::decode(share)?.derive(text(path)?)?);
    match read() {
        Ok(bytes) => {
            put_output(bytes);
            0
        }
        Err(error) => refuse(error),
    }
}
