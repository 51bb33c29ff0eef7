//! Writes a file in place so that a run killed at any moment leaves the old text or the new one.
//!
//! A file mounted into a container cannot be replaced by another. The new text is first appended as an entry with its
//! length and checksum. Once the entry is on disk, the text is copied to the front and the file is truncated after it.
//! A reader takes the last complete entry, or the text before the entries if none is complete. The separator cannot
//! occur in JSON, so no document is mistaken for an entry.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use flate2::Crc;

/// Starts an entry: the control character "record separator".
const SIGN: u8 = 0x1e;

pub(crate) fn write(file: &mut File, text: &str) -> io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    let length = text.len() as u64;
    // The entry starts after the space that the text needs at the front.
    let gap = usize::try_from(length.saturating_sub(end)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut entry = vec![b' '; gap];
    entry.push(SIGN);
    entry.extend_from_slice(format!("{} {}\n{text}", text.len(), checksum(text.as_bytes())).as_bytes());
    if let Err(error) = file.write_all(&entry).and_then(|()| file.sync_all()) {
        // Restores the file, for example if the disk is full.
        file.set_len(end)?;
        return Err(error);
    }
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    file.set_len(length)?;
    file.sync_all()
}

pub(crate) fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(settled(bytes))
}

/// The content of a file whose last write may have been interrupted.
#[must_use]
pub fn settled(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(front) = bytes.iter().position(|byte| *byte == SIGN) else { return bytes };
    let entries = bytes.get(front..).unwrap_or_default().split(|byte| *byte == SIGN);
    if let Some(text) = entries.filter_map(text_of).next_back().map(<[u8]>::to_vec) {
        return text;
    }
    bytes.truncate(front);
    bytes
}

/// The text of a complete entry. Padding for a later entry may follow it.
fn text_of(entry: &[u8]) -> Option<&[u8]> {
    let line = entry.iter().position(|byte| *byte == b'\n')?;
    let (length, sum) = std::str::from_utf8(entry.get(..line)?).ok()?.split_once(' ')?;
    let text = entry.get(line + 1..)?.get(..length.parse().ok()?)?;
    (sum.parse() == Ok(checksum(text))).then_some(text)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use crate::support::files::journal::*;

    /// The file's content at every moment of a write, one per byte.
    fn stages(old: &[u8], text: &str) -> Vec<Vec<u8>> {
        let mut entry = old.to_vec();
        entry.resize(old.len().max(text.len()), b' ');
        entry.extend(format!("\u{1e}{} {}\n{text}", text.len(), checksum(text.as_bytes())).bytes());
        let mut stages: Vec<_> = (old.len()..=entry.len()).map(|end| entry[..end].to_vec()).collect();
        for end in 1..=text.len() {
            let mut front = entry.clone();
            front[..end].copy_from_slice(&text.as_bytes()[..end]);
            stages.push(front);
        }
        stages
    }

    #[test]
    fn an_interrupted_write_leaves_the_old_or_the_new_content() {
        for (old, new, newer) in [("[1]", "[1, 22, 333]", "{}"), ("[1, 22, 333]", "{}", "[4, 55555, 66, 7]")] {
            for (at, stage) in stages(old.as_bytes(), new).into_iter().enumerate() {
                let found = String::from_utf8(settled(stage.clone())).unwrap();
                assert!([old, new].contains(&found.trim_end()), "byte {at}: {found}");
                for stage in stages(&stage, newer) {
                    let next = String::from_utf8(settled(stage)).unwrap();
                    assert!([found.trim_end(), newer].contains(&next.trim_end()), "byte {at}: {next}");
                }
            }
        }
    }

    #[test]
    fn simulated_stages_match_a_real_file() {
        let path = std::env::temp_dir().join(format!("source-criteo-journal-{}", std::process::id()));
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        for text in ["", "[1]", "[1, 22, 333]", "{}"] {
            // As left by a run that was killed after writing its entry.
            let before = std::fs::read(&path).unwrap_or_default();
            let killed = stages(&before, text);
            std::fs::write(&path, &killed[killed.len() - 1 - text.len() / 2]).unwrap();
            assert_eq!(read(&mut open()).unwrap(), text.as_bytes());
            write(&mut open(), text).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), text.as_bytes());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
