//! The ABI hook_v1 in the types of Rust.

use crate::{field, Failure};
use alloc::string::String;
use alloc::vec::Vec;

#[link(wasm_import_module = "hook_v1")]
extern "C" {
    pub fn get(field: i32, to: *mut u8, size: usize) -> i32;
    pub fn set(field: i32, bytes: *const u8, length: usize) -> i32;
    pub fn reject(code: i32, reason: *const u8, length: usize);
    pub fn log(level: i32, line: *const u8, length: usize);
    pub fn result(index: i32, to: *mut u8, size: usize) -> i32;
    pub fn now_ms() -> i64;
}

/// Most values are no longer.
const USUAL: usize = 256;

/// Has the host copy a value of unknown length. `from` gets a place and its size, and returns the length, or a negative number.
fn copy(from: impl Fn(*mut u8, usize) -> i32) -> Result<Vec<u8>, i32> {
    let mut bytes = Vec::with_capacity(USUAL);
    loop {
        let length = from(bytes.as_mut_ptr(), bytes.capacity());
        if length < 0 {
            return Err(length);
        }
        if length as usize <= bytes.capacity() {
            unsafe { bytes.set_len(length as usize) };
            return Ok(bytes);
        }
        bytes.reserve_exact(length as usize);
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn check(field: i32, status: i32) {
    match status {
        -2 => panic!("this event has no such field, or it cannot be written: {}", field),
        -3 => panic!("this is no value for the field {}", field),
        _ => {}
    }
}

/// Empty when the field has no value.
pub fn read_bytes(field: i32) -> Vec<u8> {
    copy(|at, size| unsafe { get(field, at, size) }).unwrap_or_else(|status| {
        check(field, status);
        Vec::new()
    })
}

/// Empty when the field has no value.
pub fn read_text(field: i32) -> String {
    text(read_bytes(field))
}

/// 0 when the field has no value.
pub fn read_int(field: i32) -> i64 {
    let mut b = [0; 8];
    check(field, unsafe { get(field, b.as_mut_ptr(), 8) });
    i64::from_le_bytes(b)
}

pub fn read_bool(field: i32) -> bool {
    read_flag(field) == Some(true)
}

pub fn read_flag(field: i32) -> Option<bool> {
    let mut b = 0;
    let status = unsafe { get(field, &mut b, 1) };
    check(field, status);
    (status == 1).then(|| b == 1)
}

pub fn write_bytes(field: i32, value: &[u8]) {
    check(field, unsafe { set(field, value.as_ptr(), value.len()) });
}

pub fn write_text(field: i32, value: &str) {
    write_bytes(field, value.as_bytes());
}

pub fn write_int(field: i32, value: i64) {
    write_bytes(field, &value.to_le_bytes());
}

pub fn write_bool(field: i32, value: bool) {
    write_bytes(field, &[value as u8]);
}

pub fn header(name: &str) -> String {
    write_text(field::HEADER, name);
    read_text(field::HEADER)
}

/// What a function of the server returned: whether there is a result, or why it could not be done.
pub fn outcome(status: i32) -> Result<bool, Failure> {
    match status {
        -2 => Err(Failure(result_text(0))),
        status => Ok(status != -1),
    }
}

pub fn result_bytes(index: i32) -> Vec<u8> {
    copy(|at, size| unsafe { result(index, at, size) }).unwrap_or_default()
}

pub fn result_text(index: i32) -> String {
    text(result_bytes(index))
}

pub fn result_int(index: i32) -> i64 {
    let mut b = [0; 8];
    unsafe { result(index, b.as_mut_ptr(), 8) };
    i64::from_le_bytes(b)
}

pub fn result_bool(index: i32) -> bool {
    let mut b = 0;
    unsafe { result(index, &mut b, 1) };
    b == 1
}
