//! From a blob file to the bytes of its tar: one thread reads, hashes and inflates; the caller's thread gets the result
//! in pieces, hashed again for the diff id and counted against the limit.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use build_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::codec::decoder;

const PIECE: usize = 256 << 10;
const PIECES_WAITING: usize = 8;

/// The uncompressed side. Reading gives the tar.
pub(super) struct TarStream {
    pieces: Receiver<io::Result<Vec<u8>>>,
    empties: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    sum: Sha256,
    total: u64,
    limit: u64,
}

/// The thread that inflates. Its result is the digest of the blob file.
pub(super) type Inflating<'scope> = ScopedJoinHandle<'scope, io::Result<Digest>>;

/// Starts to inflate `blob`. More than `limit` bytes of output end in an error.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    blob: File,
    limit: u64,
) -> io::Result<(TarStream, Inflating<'scope>)> {
    let (full_sender, full_receiver) = sync_channel(PIECES_WAITING);
    let (empty_sender, empty_receiver) = channel();
    let thread =
        Builder::new().name("inflate".to_owned()).spawn_scoped(scope, move || inflate(blob, &full_sender, &empty_receiver))?;
    let stream = TarStream {
        pieces: full_receiver,
        empties: empty_sender,
        current: Vec::new(),
        position: 0,
        sum: Sha256::new(),
        total: 0,
        limit,
    };
    Ok((stream, thread))
}

fn inflate(blob: File, pieces: &SyncSender<io::Result<Vec<u8>>>, empties: &Receiver<Vec<u8>>) -> io::Result<Digest> {
    let mut hashed = Hashed { inner: blob, sum: Sha256::new() };
    let outcome = inflate_all(&mut hashed, pieces, empties);
    if let Err(error) = outcome {
        // The other side may be gone; then it has its own error.
        let _ = pieces.send(Err(error));
    }
    // To the very end, also after an error: a damaged blob must be told from a malformed layer.
    io::copy(&mut BufReader::with_capacity(PIECE, &mut hashed), &mut io::sink())?;
    Ok(Digest::from_sha256(&hashed.sum.finalize().into()))
}

fn inflate_all(hashed: &mut Hashed, pieces: &SyncSender<io::Result<Vec<u8>>>, empties: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut plain = decoder(BufReader::with_capacity(PIECE, hashed))?;
    loop {
        let mut piece = empties.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let mut filled = 0;
        while filled < PIECE {
            match plain.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        piece.truncate(filled);
        if filled == 0 || pieces.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

struct Hashed {
    inner: File,
    sum: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(&buffer[..read]);
        Ok(read)
    }
}

impl TarStream {
    /// Whether the limit was reached.
    pub(super) fn is_over(&self) -> bool {
        self.total > self.limit
    }

    /// Reads what is left and gives digest and size of everything.
    pub(super) fn finish(&mut self) -> io::Result<(Digest, u64)> {
        while self.next_piece()? {}
        Ok((Digest::from_sha256(&self.sum.finalize_reset().into()), self.total))
    }

    /// Makes the next piece the current one; `false` at the end.
    fn next_piece(&mut self) -> io::Result<bool> {
        if self.is_over() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the uncompressed layer is too large"));
        }
        let Ok(piece) = self.pieces.recv() else { return Ok(false) };
        let piece = piece?;
        self.total += piece.len() as u64;
        if self.is_over() {
            return self.next_piece();
        }
        self.sum.update(&piece);
        let empty = std::mem::replace(&mut self.current, piece);
        self.position = 0;
        // The inflating thread may be done already.
        let _ = self.empties.send(empty);
        Ok(true)
    }
}

impl Read for TarStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            if !self.next_piece()? {
                return Ok(0);
            }
        }
        let available = self.current.get(self.position..).unwrap_or_default();
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.position += length;
        Ok(length)
    }
}
