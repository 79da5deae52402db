//! The folder of a log: its segments by their numbers, its lock, and names that outlive a loss of power.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
};

use super::io;
use crate::log::LogError;

/// Makes a folder that outlives a loss of power, with those above it.
pub(super) fn make(folder: &Path) -> std::io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(folder)?;
    for above in missing.into_iter().filter_map(Path::parent) {
        // A relative path ends in an empty one, which is where we are.
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        #[cfg(test)]
        super::tests::noted(above, true);
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// Where a segment is.
pub(super) fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

/// The numbers of the whole segments, the newest one last.
pub(super) fn segments(folder: &Path) -> Result<Vec<u64>, LogError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| io(folder, source))? {
        let name = entry.map_err(|source| io(folder, source))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes segments that nothing names: those behind a snapshot, and what a crash left of them.
pub(super) fn remove<'a>(
    folder: &Path,
    numbers: impl IntoIterator<Item = &'a u64>,
) -> Result<(), LogError> {
    for number in numbers {
        let path = segment(folder, *number);
        fs::remove_file(&path).map_err(|source| io(&path, source))?;
    }
    Ok(())
}

/// Two processes that write one log would make one party say two things.
pub(super) fn lock(folder: &Path) -> Result<File, LogError> {
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| io(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(LogError::InUse { path: folder.display().to_string() })
        }
        Err(fs::TryLockError::Error(source)) => Err(io(&path, source)),
    }
}
