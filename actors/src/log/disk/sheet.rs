//! The end of a segment under the pen: one aligned buffer from which whole blocks are written.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use super::sector::{self, BODY, SECTOR};

/// What is written at once is a multiple of this, and begins at one, in the file and in memory: the
/// largest that disks and file systems ask for.
pub(super) const BLOCK: usize = 4_096;

/// How many sectors a block has.
const SECTORS: u64 = (BLOCK / SECTOR) as u64;

/// The size of the buffer: above half a megabyte, larger writes are not faster.
const ROOM: usize = if cfg!(test) { 4 * BLOCK } else { 1 << 20 };

/// Memory that begins where a block may, taken once: fresh memory is dear.
#[derive(Debug)]
pub(super) struct Room {
    bytes: Vec<u8>,
    start: usize,
}

impl Default for Room {
    fn default() -> Self {
        let bytes = vec![0; ROOM + BLOCK];
        let start = bytes.as_ptr().align_offset(BLOCK);
        Self { bytes, start }
    }
}

impl Room {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..ROOM]
    }
}

/// The end of a segment. What is put is written when the room is full or at [`flush`](Self::flush), in
/// whole blocks; the last one is kept and written again with what comes after it.
#[derive(Debug)]
pub(super) struct Sheet {
    file: File,
    /// The file takes bytes from where they lie, without a copy in the system's memory.
    direct: bool,
    seed: u32,
    room: Room,
    /// The first block that the room stands for.
    block: u64,
    /// How many bytes the log has.
    len: u64,
    /// How many of them the file has.
    written: u64,
    /// How many of them the disk has for certain.
    synced: u64,
}

impl Sheet {
    /// A new file, or one that is begun anew.
    pub(super) fn create(path: &Path, number: u64, direct: bool, room: Room) -> io::Result<Self> {
        let (file, direct) =
            open(OpenOptions::new().write(true).create(true).truncate(true), path, direct)?;
        let seed = sector::seed(number);
        Ok(Self { file, direct, seed, room, block: 0, len: 0, written: 0, synced: 0 })
    }

    /// A file that goes on after `log`, of which the disk had `synced` bytes. What a crash left behind
    /// it is taken away; if `firm`, the disk has that and all before it when this returns.
    pub(super) fn resume(
        path: &Path,
        number: u64,
        (direct, firm): (bool, bool),
        log: &[u8],
        synced: u64,
    ) -> io::Result<Self> {
        let (file, direct) = open(OpenOptions::new().write(true), path, direct)?;
        let (seed, room, block) = (sector::seed(number), Room::default(), full(log.len() as u64));
        let begin = block * BLOCK_BODY;
        let mut sheet =
            Self { file, direct, seed, room, block, len: begin, written: begin, synced };
        sheet.put(&log[begin as usize..])?;
        // What is kept is written before the rest is cut, so no state between has less than it.
        sheet.flush()?;
        sheet.file.set_len(sheet.blocks() * BLOCK as u64)?;
        if firm {
            sheet.file.sync_all()?;
            sheet.synced = sheet.len;
        }
        Ok(sheet)
    }

    /// Gives the room to the next segment; nothing more can be put here.
    pub(super) fn take_room(&mut self) -> Room {
        std::mem::replace(&mut self.room, Room { bytes: Vec::new(), start: 0 })
    }

    /// How many bytes the log has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends bytes to the log.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let place = self.len / BODY as u64;
            let at = (self.len % BODY as u64) as usize;
            if (place - self.block * SECTORS) as usize * SECTOR == ROOM {
                self.write()?;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(BODY - at));
            let (seed, synced) = (self.seed, self.synced);
            let sector = self.sector(place);
            sector::body(sector)[at..][..now.len()].copy_from_slice(now);
            if at + now.len() == BODY {
                sector::seal(sector, seed, place, BODY, synced);
            }
            self.len += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Writes what was put, the last block filled with zeros.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.len == self.written {
            return Ok(());
        }
        let place = self.len / BODY as u64;
        let fill = (self.len % BODY as u64) as usize;
        let (seed, synced) = (self.seed, self.synced);
        let begun = (place - self.block * SECTORS) as usize * SECTOR;
        let end = (self.blocks() - self.block) as usize * BLOCK;
        // What the room held before is not to be read for a sector.
        let rest = &mut self.room.bytes()[begun..end];
        if fill == 0 {
            rest.fill(0);
        } else {
            sector::body(rest)[fill..].fill(0);
            sector::seal(&mut rest[..SECTOR], seed, place, fill, synced);
        }
        self.write()
    }

    /// Waits until the disk has what was written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = self.written;
        Ok(())
    }

    fn sector(&mut self, place: u64) -> &mut [u8] {
        let at = (place - self.block * SECTORS) as usize * SECTOR;
        &mut self.room.bytes()[at..][..SECTOR]
    }

    /// How many blocks the log begins.
    fn blocks(&self) -> u64 {
        self.len.div_ceil(BLOCK_BODY)
    }

    /// Writes the blocks that are begun, and keeps the last one if it is not full.
    fn write(&mut self) -> io::Result<()> {
        let blocks = (self.blocks() - self.block) as usize;
        let at = self.block * BLOCK as u64;
        let bytes = &self.room.bytes[self.room.start..][..blocks * BLOCK];
        match self.file.write_all_at(bytes, at) {
            Err(error) if self.direct && unaligned(&error) => {
                // Some file systems say only now that they cannot.
                let flags = rustix::fs::fcntl_getfl(&self.file)?;
                rustix::fs::fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
                self.direct = false;
                self.file.write_all_at(bytes, at)?;
            }
            done => done?,
        }
        let first = full(self.len);
        let kept = (first - self.block) as usize * BLOCK;
        self.room.bytes().copy_within(kept..blocks * BLOCK, 0);
        (self.block, self.written) = (first, self.len);
        Ok(())
    }
}

/// How many bytes of a log a block holds.
const BLOCK_BODY: u64 = SECTORS * BODY as u64;

/// How many blocks are full when a log has so many bytes.
fn full(len: u64) -> u64 {
    len / BLOCK_BODY
}

/// Opens a file to be written directly, if the file system can.
fn open(how: &OpenOptions, path: &Path, direct: bool) -> io::Result<(File, bool)> {
    if direct {
        match how.clone().custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path) {
            Err(error) if unaligned(&error) => {}
            opened => return Ok((opened?, true)),
        }
    }
    Ok((how.open(path)?, false))
}

fn unaligned(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error())
}
