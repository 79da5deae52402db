//! The place where the bytes of a segment are read first, for fuzzing: nothing else calls it.

use std::{fs, path::Path};

use super::{
    folder,
    reader::{joined, parse},
    sector::{self, BODY, SECTOR},
};

/// Whose logs are read here.
pub const PARTY: &str = "g-0";

/// The first segment of a log.
const NUMBER: u64 = 1;

/// The log in the first segment of a folder.
///
/// # Panics
/// When it cannot be read, or is damaged.
pub fn content(folder: &Path) -> Vec<u8> {
    let file = fs::read(folder::segment(folder, NUMBER)).expect("there is a segment");
    joined(file, NUMBER).expect("its sectors are right").0
}

/// Reads a segment with this log in it. Its sectors have right sums, or nothing behind them would be
/// looked at. Whether it is a log of [`PARTY`].
pub fn segment(log: &[u8]) -> bool {
    let mut file = vec![0; log.len().div_ceil(BODY) * SECTOR];
    let sectors = file.chunks_exact_mut(SECTOR).zip(log.chunks(BODY));
    for (place, (sector, body)) in sectors.enumerate() {
        sector::body(sector)[..body.len()].copy_from_slice(body);
        sector::seal(sector, sector::seed(NUMBER), place as u64, body.len(), 0);
    }
    parse(file, Path::new("no folder/1"), NUMBER, PARTY).is_ok()
}
