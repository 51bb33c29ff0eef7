//! Files written for the user: atomic, private, locked.

mod journal;

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

pub use crate::support::files::journal::settled;

/// Suffix of a file that is about to replace another: `state.json.source-criteo-new`, plus a number if needed.
const NEW: &str = ".source-criteo-new";
/// How many numbers are tried; files of killed runs are removed first.
const MAX_NEW: u32 = 100;
/// More links in a row count as a loop.
const MAX_LINKS: u32 = 40;

/// Options to open a file that only its owner may read.
#[must_use]
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file atomically: a reader, or a run that was killed, finds the old or the new version. Only its owner may
/// read it. A link stays a link.
///
/// # Errors
/// The system's error.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = behind_links(path)?;
    remove_leftovers(&path);
    write_beside(&path, text, |_| Ok(())).map(drop)
}

/// Checks that [`write()`] can write a file.
///
/// # Errors
/// The system's error, or that there is something else than a file.
pub fn try_beside(path: &Path) -> io::Result<()> {
    let path = behind_links(path)?;
    match std::fs::metadata(&path) {
        Ok(found) if !found.is_file() => return Err(io::Error::other("there is something else than a file")),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove_leftovers(&path);
    let (_file, new) = create_beside(&path)?;
    std::fs::remove_file(new)
}

/// As [`write()`], for an existing file, which keeps its owner. A file that cannot be replaced, such as one mounted
/// into a container, is written in place.
///
/// # Errors
/// The system's error.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = behind_links(path)?;
    remove_leftovers(&path);
    let old = std::fs::metadata(&path)?;
    match write_beside(&path, text, |new| keep_owner(new, &old)) {
        Err(error) if is_fixed(&error) => {
            journal::write(&mut OpenOptions::new().read(true).write(true).open(&path)?, text)
        }
        other => other.map(drop),
    }
}

/// A file locked for this run as long as this value lives; other runs cannot open it.
///
/// The lock is on the file itself, so it ends with the process, leaves nothing on disk, and works between containers
/// that mount the same file. A replacement file is locked before it takes the old one's place.
#[derive(Debug)]
pub struct Kept {
    /// With all links resolved.
    path: PathBuf,
    file: File,
    /// False on file systems without locks.
    is_locked: bool,
}

impl Kept {
    /// Opens and locks a file.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if another run has it; otherwise the system's error.
    pub fn open(path: &Path) -> Result<Self, TryLockError> {
        Self::open_with(path, OpenOptions::new().read(true).write(true))
    }

    /// As [`Self::open`], but creates a missing file, empty.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_or_make(path: &Path) -> Result<Self, TryLockError> {
        Self::open_with(path, private().read(true).create(true).truncate(false))
    }

    fn open_with(path: &Path, options: &OpenOptions) -> Result<Self, TryLockError> {
        let path = behind_links(path).map_err(TryLockError::Error)?; // guard: links-of-files
        loop {
            let file = options.open(&path).map_err(TryLockError::Error)?;
            let is_locked = lock(&file)?; // guard: state-lock
            let kept = Self { path: path.clone(), file, is_locked };
            // The previous owner of the lock may have replaced the file.
            if kept.is_in_place().map_err(TryLockError::Error)? {
                remove_leftovers(&kept.path);
                return Ok(kept);
            }
        }
    }

    /// Whether other runs are locked out.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// The file's content.
    ///
    /// # Errors
    /// The system's error.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        journal::read(&mut self.file)
    }

    /// Replaces the content atomically, as [`replace`] does.
    ///
    /// # Errors
    /// The system's error, or that another program replaced or removed the file.
    pub fn write(&mut self, text: &str) -> io::Result<()> {
        // guard: replaced-file
        if !self.is_in_place()? {
            return Err(io::Error::other("another program replaced or removed it while this run was using it"));
        }
        let old = self.file.metadata()?;
        match write_beside(&self.path, text, |new| keep_owner(new, &old)) {
            Ok(file) => {
                self.file = file;
                Ok(())
            }
            Err(error) if is_fixed(&error) => journal::write(&mut self.file, text),
            Err(error) => Err(error),
        }
    }

    /// Whether the path still leads to this file.
    fn is_in_place(&self) -> io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(there) => Ok(is_same(&there, &self.file.metadata()?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Locks a file; `false` if the file system has no locks.
fn lock(file: &File) -> Result<bool, TryLockError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        Err(TryLockError::Error(_)) => Ok(false),
    }
}

/// Whether a file cannot be replaced because it is mounted, or because its folder is read-only.
fn is_fixed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ResourceBusy
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::CrossesDevices
            | ErrorKind::InvalidFilename
    )
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(unix)]
fn keep_owner(new: &Path, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let made = std::fs::metadata(new)?;
    if (made.uid(), made.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    std::os::unix::fs::chown(new, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Resolves links; the target may not exist yet.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let target = std::fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its links form a loop"))
}

/// Writes a new file next to the old one, calls `finished`, then renames it over the old one. Returns it, locked.
fn write_beside(path: &Path, text: &str, finished: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<File> {
    let (mut file, new) = create_beside(path)?;
    // Unlocked files count as leftovers.
    let locked = lock(&file).map(drop).map_err(|_| io::Error::from(ErrorKind::Interrupted));
    let written = locked.and_then(|()| file.write_all(text.as_bytes())).and_then(|()| file.sync_all());
    let result = written.and_then(|()| finished(&new)).and_then(|()| std::fs::rename(&new, path));
    if result.is_ok() {
        sync_folder_of(path);
    }
    if result.is_err() {
        // Failure is ignored: the next run removes it.
        let _ = std::fs::remove_file(&new);
    }
    result.map(|()| file)
}

/// Creates a file next to another one, under a name that no other run uses.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    for number in 0..MAX_NEW {
        let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        name.push(NEW);
        if number > 0 {
            name.push(number.to_string());
        }
        let new = path.with_file_name(name);
        match private().read(true).create_new(true).open(&new) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (file, new)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Removes files left by killed runs, recognized by the missing lock.
fn remove_leftovers(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|other| is_leftover(other, name));
        // Links and folders with such a name are not ours.
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let dead = OpenOptions::new().write(true).open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
            if dead {
                // Failure is ignored: another run may have removed it.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Whether `other` is the name of a replacement file for `name`.
fn is_leftover(other: &str, name: &str) -> bool {
    let number = other.strip_prefix(name).and_then(|rest| rest.strip_prefix(NEW));
    number.is_some_and(|number| number.is_empty() || number.parse::<u32>().is_ok())
}

/// Creates a folder and those above it, and makes them durable.
///
/// # Errors
/// The system's error.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_folder(above)?;
    }
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => return Err(error),
        _ => {}
    }
    sync_folder_of(path);
    Ok(())
}

/// Syncs the folder, so that a rename survives a power loss. Not all file systems support it; the file is in place
/// anyway.
#[cfg(unix)]
pub(crate) fn sync_folder_of(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(not(unix))]
pub(crate) fn sync_folder_of(_: &Path) {}

#[cfg(test)]
mod tests {
    use crate::support::files::*;

    #[cfg(unix)]
    #[test]
    fn a_file_is_replaced_atomically_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("source-criteo-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.json");
        // Left by killed runs.
        for number in ["", "1", "99"] {
            std::fs::write(folder.join(format!("state.json{NEW}{number}")), "[").unwrap();
        }
        std::fs::write(folder.join("state.json.new"), "another program's").unwrap();
        for text in ["one", "another"] {
            write(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "nothing is left next to it");
        assert!(write(&folder.join("missing/state.json"), "x").is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_lock_survives_replacement() {
        let folder = std::env::temp_dir().join(format!("source-criteo-kept-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.json");
        let is_refused = || matches!(Kept::open(&path), Err(TryLockError::WouldBlock));
        assert!(Kept::open(&path).is_err());
        let mut kept = Kept::open_or_make(&path).unwrap();
        assert!(kept.is_locked() && is_refused());
        for text in ["[1]", "[1, 2]"] {
            kept.write(text).unwrap();
            assert!(is_refused());
            assert_eq!(kept.read().unwrap(), text.as_bytes());
        }
        // A file that another program put there is not overwritten.
        std::fs::write(folder.join("restored"), "[3]").unwrap();
        std::fs::rename(folder.join("restored"), &path).unwrap();
        assert!(kept.write("[4]").is_err());
        assert_eq!(Kept::open(&path).unwrap().read().unwrap(), b"[3]");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
