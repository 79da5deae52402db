//! Every size limit, with its reason. What is above is refused before anything is allocated.

/// The largest frame, in bytes: a batch of 4 MiB, its proof, and room for the envelope. A larger
/// batch would only delay the control frames of the same round.
pub const FRAME_MAX: usize = 5 << 20;

/// The largest batch of an atomic stream, in bytes.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// The most payloads in a batch: what fits when payloads are small, and no more than a receiver
/// indexes in a millisecond.
pub const BATCH_PAYLOADS_MAX: usize = 1 << 16;

/// The largest payload of a stream and the largest request of a client, in bytes.
pub const PAYLOAD_MAX: usize = 1 << 20;

/// The deepest nesting of a MessagePack value. Our deepest message nests 12 deep.
pub const DEPTH_MAX: usize = 32;

/// The largest share of a threshold operation, in bytes: a residue of RSA and its proof have 616.
pub const SHARE_BYTES_MAX: usize = 768;

/// The longest signature of one owner: 64 bytes with P-256, and room for another scheme.
pub const SIGNATURE_BYTES_MAX: usize = 96;

/// The longest certificate of a group of `n`: a bit, for which a byte is room enough, and a signature
/// a member.
pub const fn certificate_bytes_max(n: u16) -> usize {
    128 + n as usize * (1 + SIGNATURE_BYTES_MAX)
}
