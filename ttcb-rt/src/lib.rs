//! The trusted component: small, real-time, fail-stop. Its room: nothing is in it yet.
//!
//! Here the Trusted Timely Computing Base will live, a process of its own with its own control
//! channel, and the only code of the project that may be `unsafe`. Nothing depends on it so far.
