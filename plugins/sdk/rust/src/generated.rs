// Generated from hooks/host: change it there, then run go generate ./hooks/host.

use crate::abi::*;
use crate::{Event, Failure};
use alloc::string::String;
use alloc::vec::Vec;

/// What a hook returns. `reject` makes a `Deny` with a code and a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Verdict {
    /// Yes; the next plugin is asked.
    Allow = 0,
    /// No; nobody else is asked.
    Deny = 1,
    /// In on_publish: acknowledge, and deliver to nobody. In on_audit: do not store.
    Drop = 2,
    /// No opinion; the next plugin is asked.
    Pass = 3,
}

/// The numbers of the fields, for `abi`.
pub mod field {
    pub const CLIENT: i32 = 1;
    pub const USER: i32 = 2;
    pub const INFO: i32 = 3;
    pub const NAME: i32 = 4;
    pub const VERSION: i32 = 5;
    pub const REMOTE_ADDR: i32 = 6;
    pub const TRANSPORT: i32 = 7;
    pub const PROTOCOL: i32 = 8;
    pub const USER_AGENT: i32 = 9;
    pub const HEADER: i32 = 10;
    pub const CONFIG: i32 = 11;
    pub const CHANNEL: i32 = 12;
    pub const DATA: i32 = 13;
    pub const TOKEN: i32 = 14;
    pub const EXPIRE_AT: i32 = 15;
    pub const PRESENCE: i32 = 16;
    pub const JOIN_LEAVE: i32 = 17;
    pub const RECOVERY: i32 = 18;
    pub const ID: i32 = 19;
    pub const TAGS: i32 = 20;
    pub const REDIRECT: i32 = 21;
    pub const SKIP_HISTORY: i32 = 22;
    pub const EXCLUDE_SENDER: i32 = 23;
    pub const METHOD: i32 = 24;
    pub const REPLY: i32 = 25;
    pub const SUBSCRIPTION: i32 = 26;
    pub const GRANT: i32 = 27;
    pub const NAMESPACE: i32 = 28;
    pub const SUBSCRIBE: i32 = 29;
    pub const PUBLISH: i32 = 30;
    pub const HISTORY_SIZE: i32 = 31;
    pub const HISTORY_TTL: i32 = 32;
    pub const SLOW_CONSUMER: i32 = 33;
    pub const CODE: i32 = 34;
    pub const REASON: i32 = 35;
    pub const KIND: i32 = 36;
    pub const HOOK: i32 = 37;
    pub const ACTION: i32 = 38;
    pub const PAYLOAD: i32 = 39;
}

/// The event of `on_connect`.
pub struct Connect(pub(crate) ());

impl Event for Connect {
    fn new() -> Self {
        Connect(())
    }
}

impl Connect {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// Who it is; empty when anonymous.
    pub fn set_user(&self, value: &str) {
        write_text(field::USER, value)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn set_info(&self, value: &str) {
        write_text(field::INFO, value)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn data(&self) -> Vec<u8> {
        read_bytes(field::DATA)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn set_data(&self, value: &[u8]) {
        write_bytes(field::DATA, value)
    }
    /// The token the client brought; empty when it has none.
    pub fn token(&self) -> String {
        read_text(field::TOKEN)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn expire_at(&self) -> i64 {
        read_int(field::EXPIRE_AT)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn set_expire_at(&self, value: i64) {
        write_int(field::EXPIRE_AT, value)
    }
    /// Each write subscribes the client to one channel: {"channel": "news"}, and optionally info, data, expire_at, presence, join_leave, recovery.
    pub fn add_subscription(&self, value: &str) {
        write_text(field::SUBSCRIPTION, value)
    }
    /// Each write gives rights: {"channels": ["room:*"], "match": "wildcard", "allow": ["sub", "pub"]}. In subscribe they are for this channel: {"allow": ["pub"]}.
    pub fn add_grant(&self, value: &str) {
        write_text(field::GRANT, value)
    }
}

/// The event of `on_refresh`.
pub struct Refresh(pub(crate) ());

impl Event for Refresh {
    fn new() -> Self {
        Refresh(())
    }
}

impl Refresh {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn set_info(&self, value: &str) {
        write_text(field::INFO, value)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// The channel; absent when a session is refreshed.
    pub fn channel(&self) -> String {
        read_text(field::CHANNEL)
    }
    /// The token the client brought; empty when it has none.
    pub fn token(&self) -> String {
        read_text(field::TOKEN)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn expire_at(&self) -> i64 {
        read_int(field::EXPIRE_AT)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn set_expire_at(&self, value: i64) {
        write_int(field::EXPIRE_AT, value)
    }
}

/// The event of `on_subscribe`.
pub struct Subscribe(pub(crate) ());

impl Event for Subscribe {
    fn new() -> Self {
        Subscribe(())
    }
}

impl Subscribe {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn set_info(&self, value: &str) {
        write_text(field::INFO, value)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// The channel; absent when a session is refreshed.
    pub fn channel(&self) -> String {
        read_text(field::CHANNEL)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn data(&self) -> Vec<u8> {
        read_bytes(field::DATA)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn set_data(&self, value: &[u8]) {
        write_bytes(field::DATA, value)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn expire_at(&self) -> i64 {
        read_int(field::EXPIRE_AT)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn set_expire_at(&self, value: i64) {
        write_int(field::EXPIRE_AT, value)
    }
    /// Whether presence is kept; absent, which only subscribe knows: as the channel's options say.
    pub fn presence(&self) -> Option<bool> {
        read_flag(field::PRESENCE)
    }
    /// Whether presence is kept; absent, which only subscribe knows: as the channel's options say.
    pub fn set_presence(&self, value: bool) {
        write_bool(field::PRESENCE, value)
    }
    /// Whether others are told of comings and goings; absent: the same.
    pub fn join_leave(&self) -> Option<bool> {
        read_flag(field::JOIN_LEAVE)
    }
    /// Whether others are told of comings and goings; absent: the same.
    pub fn set_join_leave(&self, value: bool) {
        write_bool(field::JOIN_LEAVE, value)
    }
    /// Whether missed publications can be recovered; absent: the same.
    pub fn recovery(&self) -> Option<bool> {
        read_flag(field::RECOVERY)
    }
    /// Whether missed publications can be recovered; absent: the same.
    pub fn set_recovery(&self, value: bool) {
        write_bool(field::RECOVERY, value)
    }
    /// Each write gives rights: {"channels": ["room:*"], "match": "wildcard", "allow": ["sub", "pub"]}. In subscribe they are for this channel: {"allow": ["pub"]}.
    pub fn add_grant(&self, value: &str) {
        write_text(field::GRANT, value)
    }
}

/// The event of `on_channel`.
pub struct Channel(pub(crate) ());

impl Event for Channel {
    fn new() -> Self {
        Channel(())
    }
}

impl Channel {
    /// The channel; absent when a session is refreshed.
    pub fn channel(&self) -> String {
        read_text(field::CHANNEL)
    }
    /// Whether presence is kept; absent, which only subscribe knows: as the channel's options say.
    pub fn presence(&self) -> Option<bool> {
        read_flag(field::PRESENCE)
    }
    /// Whether presence is kept; absent, which only subscribe knows: as the channel's options say.
    pub fn set_presence(&self, value: bool) {
        write_bool(field::PRESENCE, value)
    }
    /// Whether others are told of comings and goings; absent: the same.
    pub fn join_leave(&self) -> Option<bool> {
        read_flag(field::JOIN_LEAVE)
    }
    /// Whether others are told of comings and goings; absent: the same.
    pub fn set_join_leave(&self, value: bool) {
        write_bool(field::JOIN_LEAVE, value)
    }
    /// Whether missed publications can be recovered; absent: the same.
    pub fn recovery(&self) -> Option<bool> {
        read_flag(field::RECOVERY)
    }
    /// Whether missed publications can be recovered; absent: the same.
    pub fn set_recovery(&self, value: bool) {
        write_bool(field::RECOVERY, value)
    }
    /// Whether the publisher gets no copy; absent in publish: as the channel's options say.
    pub fn exclude_sender(&self) -> Option<bool> {
        read_flag(field::EXCLUDE_SENDER)
    }
    /// Whether the publisher gets no copy; absent in publish: as the channel's options say.
    pub fn set_exclude_sender(&self, value: bool) {
        write_bool(field::EXCLUDE_SENDER, value)
    }
    /// The channel's namespace.
    pub fn namespace(&self) -> String {
        read_text(field::NAMESPACE)
    }
    /// Who may subscribe: nobody, granted, user or anyone.
    pub fn subscribe(&self) -> String {
        read_text(field::SUBSCRIBE)
    }
    /// Who may subscribe: nobody, granted, user or anyone.
    pub fn set_subscribe(&self, value: &str) {
        write_text(field::SUBSCRIBE, value)
    }
    /// Who may publish: the same.
    pub fn publish(&self) -> String {
        read_text(field::PUBLISH)
    }
    /// Who may publish: the same.
    pub fn set_publish(&self, value: &str) {
        write_text(field::PUBLISH, value)
    }
    /// How many publications are kept; 0: none.
    pub fn history_size(&self) -> i64 {
        read_int(field::HISTORY_SIZE)
    }
    /// How many publications are kept; 0: none.
    pub fn set_history_size(&self, value: i64) {
        write_int(field::HISTORY_SIZE, value)
    }
    /// For how many milliseconds they are kept.
    pub fn history_ttl(&self) -> i64 {
        read_int(field::HISTORY_TTL)
    }
    /// For how many milliseconds they are kept.
    pub fn set_history_ttl(&self, value: i64) {
        write_int(field::HISTORY_TTL, value)
    }
    /// What happens to slow clients: disconnect, drop_oldest or conflate.
    pub fn slow_consumer(&self) -> String {
        read_text(field::SLOW_CONSUMER)
    }
    /// What happens to slow clients: disconnect, drop_oldest or conflate.
    pub fn set_slow_consumer(&self, value: &str) {
        write_text(field::SLOW_CONSUMER, value)
    }
}

/// The event of `on_publish`.
pub struct Publish(pub(crate) ());

impl Event for Publish {
    fn new() -> Self {
        Publish(())
    }
}

impl Publish {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// The channel; absent when a session is refreshed.
    pub fn channel(&self) -> String {
        read_text(field::CHANNEL)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn data(&self) -> Vec<u8> {
        read_bytes(field::DATA)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn set_data(&self, value: &[u8]) {
        write_bytes(field::DATA, value)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn expire_at(&self) -> i64 {
        read_int(field::EXPIRE_AT)
    }
    /// Seconds since 1970; 0 is never. In publish: when the history stops showing the publication.
    pub fn set_expire_at(&self, value: i64) {
        write_int(field::EXPIRE_AT, value)
    }
    /// The message's identifier, as in the audit.
    pub fn id(&self) -> String {
        read_text(field::ID)
    }
    /// Its tags, an object of strings. Written as a whole.
    pub fn tags(&self) -> String {
        read_text(field::TAGS)
    }
    /// Its tags, an object of strings. Written as a whole.
    pub fn set_tags(&self, value: &str) {
        write_text(field::TAGS, value)
    }
    /// The channel it goes to instead; absent when it stays.
    pub fn redirect(&self) -> String {
        read_text(field::REDIRECT)
    }
    /// The channel it goes to instead; absent when it stays.
    pub fn set_redirect(&self, value: &str) {
        write_text(field::REDIRECT, value)
    }
    /// Deliver it, but do not keep it.
    pub fn skip_history(&self) -> bool {
        read_bool(field::SKIP_HISTORY)
    }
    /// Deliver it, but do not keep it.
    pub fn set_skip_history(&self, value: bool) {
        write_bool(field::SKIP_HISTORY, value)
    }
    /// Whether the publisher gets no copy; absent in publish: as the channel's options say.
    pub fn exclude_sender(&self) -> Option<bool> {
        read_flag(field::EXCLUDE_SENDER)
    }
    /// Whether the publisher gets no copy; absent in publish: as the channel's options say.
    pub fn set_exclude_sender(&self, value: bool) {
        write_bool(field::EXCLUDE_SENDER, value)
    }
}

/// The event of `on_rpc`.
pub struct Rpc(pub(crate) ());

impl Event for Rpc {
    fn new() -> Self {
        Rpc(())
    }
}

impl Rpc {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn data(&self) -> Vec<u8> {
        read_bytes(field::DATA)
    }
    /// The method that is called.
    pub fn method(&self) -> String {
        read_text(field::METHOD)
    }
    /// The answer to the call, JSON for clients that speak it; absent until it is written.
    pub fn reply(&self) -> Vec<u8> {
        read_bytes(field::REPLY)
    }
    /// The answer to the call, JSON for clients that speak it; absent until it is written.
    pub fn set_reply(&self, value: &[u8]) {
        write_bytes(field::REPLY, value)
    }
}

/// The event of `on_send`.
pub struct Send(pub(crate) ());

impl Event for Send {
    fn new() -> Self {
        Send(())
    }
}

impl Send {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out.
    pub fn data(&self) -> Vec<u8> {
        read_bytes(field::DATA)
    }
}

/// The event of `on_unsubscribe`.
pub struct Unsubscribe(pub(crate) ());

impl Event for Unsubscribe {
    fn new() -> Self {
        Unsubscribe(())
    }
}

impl Unsubscribe {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// The channel; absent when a session is refreshed.
    pub fn channel(&self) -> String {
        read_text(field::CHANNEL)
    }
    /// Why, as a number. In unsubscribe 0: the client asked for it, 1: the session ended.
    pub fn code(&self) -> i64 {
        read_int(field::CODE)
    }
    /// Why, as a sentence.
    pub fn reason(&self) -> String {
        read_text(field::REASON)
    }
}

/// The event of `on_disconnect`.
pub struct Disconnect(pub(crate) ());

impl Event for Disconnect {
    fn new() -> Self {
        Disconnect(())
    }
}

impl Disconnect {
    /// A header of the handshake request; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        header(name)
    }
    /// The session's identifier.
    pub fn client(&self) -> String {
        read_text(field::CLIENT)
    }
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// What others see about the connection; written in subscribe, what they see in this channel.
    pub fn info(&self) -> String {
        read_text(field::INFO)
    }
    /// What the client calls itself.
    pub fn name(&self) -> String {
        read_text(field::NAME)
    }
    /// The version it says it has.
    pub fn version(&self) -> String {
        read_text(field::VERSION)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// How it is connected: websocket.
    pub fn transport(&self) -> String {
        read_text(field::TRANSPORT)
    }
    /// What it speaks: json or protobuf.
    pub fn protocol(&self) -> String {
        read_text(field::PROTOCOL)
    }
    /// The browser's or library's name.
    pub fn user_agent(&self) -> String {
        read_text(field::USER_AGENT)
    }
    /// Why, as a number. In unsubscribe 0: the client asked for it, 1: the session ended.
    pub fn code(&self) -> i64 {
        read_int(field::CODE)
    }
    /// Why, as a sentence.
    pub fn reason(&self) -> String {
        read_text(field::REASON)
    }
}

/// The event of `on_audit`.
pub struct Audit(pub(crate) ());

impl Event for Audit {
    fn new() -> Self {
        Audit(())
    }
}

impl Audit {
    /// Who it is; empty when anonymous.
    pub fn user(&self) -> String {
        read_text(field::USER)
    }
    /// Who it is; empty when anonymous.
    pub fn set_user(&self, value: &str) {
        write_text(field::USER, value)
    }
    /// Its IP address.
    pub fn remote_addr(&self) -> String {
        read_text(field::REMOTE_ADDR)
    }
    /// Its IP address.
    pub fn set_remote_addr(&self, value: &str) {
        write_text(field::REMOTE_ADDR, value)
    }
    /// The channel; absent when a session is refreshed.
    pub fn channel(&self) -> String {
        read_text(field::CHANNEL)
    }
    /// Its tags, an object of strings. Written as a whole.
    pub fn tags(&self) -> String {
        read_text(field::TAGS)
    }
    /// Its tags, an object of strings. Written as a whole.
    pub fn set_tags(&self, value: &str) {
        write_text(field::TAGS, value)
    }
    /// Why, as a sentence.
    pub fn reason(&self) -> String {
        read_text(field::REASON)
    }
    /// Why, as a sentence.
    pub fn set_reason(&self, value: &str) {
        write_text(field::REASON, value)
    }
    /// What is about to be stored: message, session, decision or action.
    pub fn kind(&self) -> String {
        read_text(field::KIND)
    }
    /// The hook of a decision.
    pub fn hook(&self) -> String {
        read_text(field::HOOK)
    }
    /// What was done, of an action.
    pub fn action(&self) -> String {
        read_text(field::ACTION)
    }
    /// The data of a message, or the request of an action; absent when it is not kept.
    pub fn payload(&self) -> Vec<u8> {
        read_bytes(field::PAYLOAD)
    }
    /// The data of a message, or the request of an action; absent when it is not kept.
    pub fn set_payload(&self, value: &[u8]) {
        write_bytes(field::PAYLOAD, value)
    }
}

/// The functions `kv_…` of the server.
pub mod kv {
    use super::*;
    /// Reads a value that this plugin has stored, here or on another node. It needs allow.kv.
    ///
    /// key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
    ///
    /// Returns value. At most 64 KiB.
    ///
    /// Returns revision.
    ///
    /// `None`: the key has no value.
    pub fn get(key: &str) -> Result<Option<(Vec<u8>, i64)>, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn kv_get(key: *const u8, key_len: usize) -> i32;
        }
        outcome(unsafe { kv_get(key.as_ptr(), key.len()) }).map(|present| present.then(|| (result_bytes(0), result_int(1))))
    }

    /// Stores a value, whatever was there before. It needs allow.kv.
    ///
    /// key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
    ///
    /// value: At most 64 KiB.
    ///
    /// ttl: May be empty or 0. Milliseconds. How long it is kept; 0: for ever.
    ///
    /// Returns revision.
    pub fn set(key: &str, value: &[u8], ttl: i64) -> Result<i64, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn kv_set(key: *const u8, key_len: usize, value: *const u8, value_len: usize, ttl: i64) -> i32;
        }
        outcome(unsafe { kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl) }).map(|_| result_int(0))
    }

    /// Stores a value if nobody else has since the revision was read (compare and swap). It needs allow.kv.
    ///
    /// key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
    ///
    /// value: At most 64 KiB.
    ///
    /// revision: 0: the key must have no value.
    ///
    /// ttl: May be empty or 0. Milliseconds. How long it is kept; 0: for ever.
    ///
    /// Returns revision.
    ///
    /// `None`: the key's revision is another one by now: read it, and try again.
    pub fn cas(key: &str, value: &[u8], revision: i64, ttl: i64) -> Result<Option<i64>, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn kv_cas(key: *const u8, key_len: usize, value: *const u8, value_len: usize, revision: i64, ttl: i64) -> i32;
        }
        outcome(unsafe { kv_cas(key.as_ptr(), key.len(), value.as_ptr(), value.len(), revision, ttl) }).map(|present| present.then(|| result_int(0)))
    }

    /// Removes a value, if there is one. It needs allow.kv.
    ///
    /// key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
    pub fn delete(key: &str) -> Result<(), Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn kv_delete(key: *const u8, key_len: usize) -> i32;
        }
        outcome(unsafe { kv_delete(key.as_ptr(), key.len()) }).map(|_| ())
    }
}

/// The functions `http_…` of the server.
pub mod http {
    use super::*;
    /// Asks a web server, and waits for the answer, whatever its status is. It needs allow.http.
    ///
    /// method: GET, POST and so on.
    ///
    /// url: Its host must be in allow.http.
    ///
    /// headers: May be empty or 0. An object of texts.
    ///
    /// body: May be empty or 0.
    ///
    /// Returns status.
    ///
    /// Returns headers. An object of texts; the names are in lower case.
    ///
    /// Returns body.
    pub fn request(method: &str, url: &str, headers: &str, body: &[u8]) -> Result<(i64, String, Vec<u8>), Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn http_request(method: *const u8, method_len: usize, url: *const u8, url_len: usize, headers: *const u8, headers_len: usize, body: *const u8, body_len: usize) -> i32;
        }
        outcome(unsafe { http_request(method.as_ptr(), method.len(), url.as_ptr(), url.len(), headers.as_ptr(), headers.len(), body.as_ptr(), body.len()) }).map(|_| (result_int(0), result_text(1), result_bytes(2)))
    }
}

/// The functions `server_…` of the server.
pub mod server {
    use super::*;
    /// Publishes to a channel in the server's name: no rule and no hook is asked. When it returns, the publication is on its way and in the history. It needs allow.publish.
    ///
    /// data: JSON, unless the channel's content is binary.
    ///
    /// tags: May be empty or 0. An object of texts.
    pub fn publish(channel: &str, data: &[u8], tags: &str) -> Result<(), Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn server_publish(channel: *const u8, channel_len: usize, data: *const u8, data_len: usize, tags: *const u8, tags_len: usize) -> i32;
        }
        outcome(unsafe { server_publish(channel.as_ptr(), channel.len(), data.as_ptr(), data.len(), tags.as_ptr(), tags.len()) }).map(|_| ())
    }

    /// Ends subscriptions to a channel. It is carried out soon after: who is not there is no error. It needs allow.unsubscribe.
    ///
    /// user: May be empty or 0. All sessions of this user,
    ///
    /// client: May be empty or 0. or this session; one of both must be there.
    pub fn unsubscribe(user: &str, client: &str, channel: &str) -> Result<(), Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn server_unsubscribe(user: *const u8, user_len: usize, client: *const u8, client_len: usize, channel: *const u8, channel_len: usize) -> i32;
        }
        outcome(unsafe { server_unsubscribe(user.as_ptr(), user.len(), client.as_ptr(), client.len(), channel.as_ptr(), channel.len()) }).map(|_| ())
    }

    /// Ends sessions. It is carried out soon after: who is not there is no error. It needs allow.disconnect.
    ///
    /// user: May be empty or 0. All sessions of this user,
    ///
    /// client: May be empty or 0. or this session; one of both must be there.
    ///
    /// code: May be empty or 0. 3000 to 4999; 0: 3503, force no reconnect.
    ///
    /// reason: May be empty or 0. For the client.
    pub fn disconnect(user: &str, client: &str, code: i64, reason: &str) -> Result<(), Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn server_disconnect(user: *const u8, user_len: usize, client: *const u8, client_len: usize, code: i64, reason: *const u8, reason_len: usize) -> i32;
        }
        outcome(unsafe { server_disconnect(user.as_ptr(), user.len(), client.as_ptr(), client.len(), code, reason.as_ptr(), reason.len()) }).map(|_| ())
    }
}

/// The functions `jwt_…` of the server.
pub mod jwt {
    use super::*;
    /// Verifies a token's signature, and exp, nbf and iat if it has them. Of a token that is not good, the failure says why. It needs allow.jwt.
    ///
    /// key: One of the plugin's keys in the configuration; it fixes the algorithm.
    ///
    /// Returns claims.
    pub fn verify(token: &str, key: &str) -> Result<String, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn jwt_verify(token: *const u8, token_len: usize, key: *const u8, key_len: usize) -> i32;
        }
        outcome(unsafe { jwt_verify(token.as_ptr(), token.len(), key.as_ptr(), key.len()) }).map(|_| result_text(0))
    }

    /// Signs claims, which it leaves as they are: set exp yourself. It needs allow.jwt.
    ///
    /// claims: An object.
    ///
    /// key: One of the plugin's keys in the configuration; it fixes the algorithm.
    ///
    /// Returns token.
    pub fn sign(claims: &str, key: &str) -> Result<String, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn jwt_sign(claims: *const u8, claims_len: usize, key: *const u8, key_len: usize) -> i32;
        }
        outcome(unsafe { jwt_sign(claims.as_ptr(), claims.len(), key.as_ptr(), key.len()) }).map(|_| result_text(0))
    }
}

/// The functions `password_…` of the server.
pub mod password {
    use super::*;
    /// Makes a salted hash to be stored instead of a password (argon2id). It takes tens of milliseconds: give the plugin a longer deadline. It needs allow.password.
    ///
    /// password: At most 1024 bytes.
    ///
    /// Returns hash. A text such as $argon2id$v=19$m=19456,t=2,p=1$…$…
    pub fn hash(password: &str) -> Result<String, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn password_hash(password: *const u8, password_len: usize) -> i32;
        }
        outcome(unsafe { password_hash(password.as_ptr(), password.len()) }).map(|_| result_text(0))
    }

    /// Says whether a password is the one that was hashed. It takes as long. It needs allow.password.
    ///
    /// password: At most 1024 bytes.
    ///
    /// hash: A text such as $argon2id$v=19$m=19456,t=2,p=1$…$…
    ///
    /// Returns right.
    pub fn verify(password: &str, hash: &str) -> Result<bool, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn password_verify(password: *const u8, password_len: usize, hash: *const u8, hash_len: usize) -> i32;
        }
        outcome(unsafe { password_verify(password.as_ptr(), password.len(), hash.as_ptr(), hash.len()) }).map(|_| result_bool(0))
    }
}

/// The functions `metric_…` of the server.
pub mod metric {
    use super::*;
    /// Adds to a counter, which is zenconn_plugin_metric_total with the plugin and this name as labels.
    ///
    /// name: Lower-case letters, digits and _; a plugin has at most 100 of them.
    ///
    /// number: May be empty or 0. Not negative; 0: 1.
    pub fn add(name: &str, number: i64) -> Result<(), Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn metric_add(name: *const u8, name_len: usize, number: i64) -> i32;
        }
        outcome(unsafe { metric_add(name.as_ptr(), name.len(), number) }).map(|_| ())
    }
}

/// The functions `random_…` of the server.
pub mod random {
    use super::*;
    /// Makes random bytes, good enough for keys.
    ///
    /// number: At most 1024.
    ///
    /// Returns bytes.
    pub fn bytes(number: i64) -> Result<Vec<u8>, Failure> {
        #[link(wasm_import_module = "hook_v1")]
        extern "C" {
            fn random_bytes(number: i64) -> i32;
        }
        outcome(unsafe { random_bytes(number) }).map(|_| result_bytes(0))
    }
}
