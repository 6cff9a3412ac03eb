//! The kit for ZenConn plugins in Rust. See README.md.
//!
//! ```ignore
//! use zenconn::*;
//!
//! zenconn::hook!(on_publish, limit);
//!
//! fn limit(ev: Publish) -> Verdict {
//!     if ev.data().len() > 1000 {
//!         return reject(106, "too long");
//!     }
//!     Verdict::Pass
//! }
//! ```
//!
//! An event's methods read and write the event of the running call. A panic, also one of a method that could not write a field, is a
//! fault of the plugin: the server's log has its message. Several instances of a plugin run side by side, so statics must not remember
//! anything from one call to the next.
#![cfg_attr(not(feature = "std"), no_std)]

#[doc(hidden)]
pub extern crate alloc;

#[doc(hidden)]
pub mod abi;
mod generated;
pub mod json;
mod runtime;

pub use alloc::{format, string::String, string::ToString, vec, vec::Vec};
pub use generated::*;

/// Why the server could not do what a function asked for, such as "the store does not answer". What a plugin was not given in the
/// configuration (plugins.load[].allow) is not a failure, but a fault that ends its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Defines a hook: `hook!(on_publish, f)` with `fn f(ev: Publish) -> Verdict`.
#[macro_export]
macro_rules! hook {
    ($name:ident, $f:path) => {
        #[no_mangle]
        pub extern "C" fn $name() -> i32 {
            $crate::begin();
            $f($crate::event()) as i32
        }
    };
}

/// Defines what runs once in each instance, before the first call: `init!(f)` with `fn f()`. It can read the configuration and has no event.
#[macro_export]
macro_rules! init {
    ($f:path) => {
        #[no_mangle]
        pub extern "C" fn _initialize() {
            $crate::begin();
            $f()
        }
    };
}

/// The event of the running call.
#[doc(hidden)]
pub trait Event {
    fn new() -> Self;
}

#[doc(hidden)]
pub fn event<E: Event>() -> E {
    E::new()
}

#[doc(hidden)]
pub use runtime::begin;

/// Denies with a code, 0 for the usual one, and a sentence for the client, which may be empty: `return reject(403, "why")`.
pub fn reject(code: i32, reason: &str) -> Verdict {
    unsafe { abi::reject(code, reason.as_ptr(), reason.len()) };
    Verdict::Deny
}

/// The plugin's configuration, a JSON object: `json::field` reads it. It is there at any time.
pub fn config() -> String {
    abi::read_text(field::CONFIG)
}

/// The server's time in milliseconds since 1970.
pub fn now_ms() -> i64 {
    unsafe { abi::now_ms() }
}

/// Lines in the server's log.
pub mod log {
    fn line(level: i32, text: &str) {
        unsafe { crate::abi::log(level, text.as_ptr(), text.len()) }
    }
    pub fn debug(text: &str) {
        line(0, text)
    }
    pub fn info(text: &str) {
        line(1, text)
    }
    pub fn warn(text: &str) {
        line(2, text)
    }
    pub fn error(text: &str) {
        line(3, text)
    }
}
