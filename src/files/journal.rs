//! Writing a file in place so that a run that is killed at any moment leaves the old text or the new one.
//!
//! A single file that is mounted into a container cannot be replaced by another. The new text first goes behind the old one,
//! as an entry with its length and its checksum; only when the entry is on the disk the new text goes to the front, and then
//! the file is cut behind it. Whoever reads takes the last entry that is whole, and what stands before the entries if none
//! is. The sign between them may not occur in JSON, so no document is taken for an entry.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use flate2::Crc;

/// Begins an entry: the control character "record separator".
const SIGN: u8 = 0x1e;

/// Writes a text in place of what the file has.
pub(super) fn write(file: &mut File, text: &str) -> io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    let length = text.len() as u64;
    // The entry begins behind the place that the text will take.
    let gap = usize::try_from(length.saturating_sub(end)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut entry = vec![b' '; gap];
    entry.push(SIGN);
    entry.extend_from_slice(format!("{} {}\n{text}", text.len(), checksum(text.as_bytes())).as_bytes());
    if let Err(error) = file.write_all(&entry).and_then(|()| file.sync_all()) {
        // The disk is full: the file is as it was.
        file.set_len(end)?;
        return Err(error);
    }
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    file.set_len(length)?;
    file.sync_all()
}

/// The whole file, as [`settled`].
pub(super) fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(settled(bytes))
}

/// What a file holds whose writing may have been cut off.
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

/// The text of an entry that is whole. Behind it may stand what filled the place up to the next one.
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
    use super::*;

    /// The states that the bytes of a file go through while it is written, cut off at every byte.
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
    fn a_write_that_is_cut_off_anywhere_leaves_one_of_the_two_texts_and_so_does_the_next() {
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
    fn the_stages_are_those_of_a_real_file() {
        let path = std::env::temp_dir().join(format!("source-criteo-journal-{}", std::process::id()));
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        for text in ["", "[1]", "[1, 22, 333]", "{}"] {
            // Behind a run that was killed with its entry written.
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
