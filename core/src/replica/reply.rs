//! Answers to clients: many of one client in few messages.

use super::message::{COMMANDS_MAX, Message, Reply};
use crate::{
    effects::{Effects, To},
    id::ClientId,
    protocol::Protocol,
};

/// The bytes of answers above which another message begins: control frames of the same link are not to
/// wait behind more.
const BYTES: usize = 256 << 10;

/// Sends a client answers, in as few messages as their sizes allow.
pub(super) fn say_replies<P: Protocol<Message = Message>>(
    client: ClientId,
    replies: Vec<Reply>,
    fx: &mut Effects<'_, P>,
) {
    let (mut some, mut bytes) = (Vec::new(), 0);
    for reply in replies {
        if !some.is_empty() && (bytes + reply.body.len() > BYTES || some.len() >= COMMANDS_MAX) {
            fx.send_to(To::Client(client), Message::Replies(std::mem::take(&mut some)));
            bytes = 0;
        }
        bytes += reply.body.len();
        some.push(reply);
    }
    if !some.is_empty() {
        fx.send_to(To::Client(client), Message::Replies(some));
    }
}
