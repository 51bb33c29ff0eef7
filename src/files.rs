//! Files that the program writes for its user.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// How a file is opened that nobody else may read.
#[must_use]
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file as a whole: a reader, and a run that is cut off, find the old one or the new one. Only its owner may read it.
///
/// # Errors
/// What the system says.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    write_beside(path, text, |_| Ok(()))
}

/// As [`write`], for a file that is there: it keeps its owner. One that cannot be replaced, such as a single file that is mounted
/// into a container, is written in place.
///
/// # Errors
/// What the system says.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let old = std::fs::metadata(path)?;
    write_beside(path, text, |new| keep_owner(new, &old)).or_else(|_| {
        let mut file = OpenOptions::new().write(true).open(path)?;
        // The longer text first: a run that is cut off leaves the new value, perhaps with an old end behind it.
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        file.sync_all()
    })
}

#[cfg(unix)]
fn keep_owner(new: &Path, old: &std::fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let made = std::fs::metadata(new)?;
    if (made.uid(), made.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    std::os::unix::fs::chown(new, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &std::fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Writes a new file beside the old one, has it `finished`, and puts it in the old one's place.
fn write_beside(path: &Path, text: &str, finished: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = private().create_new(true).open(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let result = written.and_then(|()| finished(&new)).and_then(|()| std::fs::rename(&new, path));
    if result.is_ok() {
        sync_folder_of(path);
    }
    if result.is_err() {
        // What is half written helps nobody.
        let _ = std::fs::remove_file(&new);
    }
    result
}

/// A new name is safe from a loss of power once the folder is on the disk. Some file systems cannot do that; the file is in its
/// place all the same.
#[cfg(unix)]
fn sync_folder_of(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(not(unix))]
fn sync_folder_of(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_is_replaced_as_a_whole_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("source-criteo-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.json");
        for text in ["one", "another"] {
            write(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        assert!(write(&folder.join("missing/state.json"), "x").is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
