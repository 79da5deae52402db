//! The program that runs, for whoever starts it again.

use std::{
    env, io,
    path::{Path, PathBuf},
};

/// What Linux lets a process run again, whatever became of the file that it was started from.
const RUNNING: &str = "/proc/self/exe";

/// The program that runs. Parties that it starts later are of the same version, also when its file
/// was replaced or removed meanwhile.
pub(crate) fn program() -> io::Result<PathBuf> {
    env::current_exe().map(|file| there(&file))
}

fn there(file: &Path) -> PathBuf {
    if file.exists() { file.into() } else { RUNNING.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_is_still_run() {
        let own = program().expect("tests have a file");
        assert_eq!(there(&own), own);
        let gone = own.with_extension("gone (deleted)");
        assert_eq!(there(&gone), Path::new(RUNNING));
    }
}
