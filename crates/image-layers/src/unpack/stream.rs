//! From a blob to the bytes of its tar. One thread reads, hashes and inflates, a second hashes the result for the diff id
//! and counts it against the limit, the caller's thread gets the pieces. On two processors this hides all of it behind
//! the making of files.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use build_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::codec::decoder;
use crate::store::BlobSource;

const PIECE: usize = 256 << 10;
const PIECES_WAITING: usize = 8;

type Piece = io::Result<Vec<u8>>;

/// The uncompressed side. Reading gives the tar.
pub(super) struct TarStream {
    pieces: Receiver<Piece>,
    empties: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    is_over: bool,
}

/// The threads that inflate and hash.
pub(super) struct Inflating<'scope> {
    inflate: ScopedJoinHandle<'scope, io::Result<Digest>>,
    hash: ScopedJoinHandle<'scope, (Digest, u64)>,
}

/// What the threads found out.
pub(super) struct Sums {
    /// Digest of the blob; an error when it could not be read to its end.
    pub(super) blob: io::Result<Digest>,
    /// Digest of the tar.
    pub(super) tar: Digest,
    /// Bytes of the tar.
    pub(super) size: u64,
}

/// Starts to inflate `blob`. More than `limit` bytes of output end in an error.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    blob: BlobSource,
    limit: u64,
) -> io::Result<(TarStream, Inflating<'scope>)> {
    let (inflated_sender, inflated) = sync_channel(PIECES_WAITING);
    let (hashed_sender, hashed) = sync_channel(PIECES_WAITING);
    let (empty_sender, empties) = channel();
    let inflate =
        Builder::new().name("inflate".to_owned()).spawn_scoped(scope, move || inflate(blob, &inflated_sender, &empties))?;
    let hash = Builder::new().name("diff-id".to_owned()).spawn_scoped(scope, move || hash(&inflated, &hashed_sender, limit))?;
    let stream = TarStream { pieces: hashed, empties: empty_sender, current: Vec::new(), position: 0, is_over: false };
    Ok((stream, Inflating { inflate, hash }))
}

impl Inflating<'_> {
    /// Waits for the end of the blob. The stream must have been dropped.
    pub(super) fn finish(self) -> Sums {
        let panicked = || io::Error::other("a thread that inflates panicked");
        let blob = self.inflate.join().unwrap_or_else(|_| Err(panicked()));
        match self.hash.join() {
            Ok((tar, size)) => Sums { blob, tar, size },
            Err(_) => Sums { blob: Err(panicked()), tar: Digest::from_sha256(&[0; 32]), size: 0 },
        }
    }
}

fn inflate(mut blob: BlobSource, pieces: &SyncSender<Piece>, empties: &Receiver<Vec<u8>>) -> io::Result<Digest> {
    let outcome = inflate_all(&mut blob, pieces, empties);
    if let Err(error) = outcome {
        // The other side may be gone; then it has its own error.
        let _ = pieces.send(Err(error));
    }
    // To the very end, also after an error: a damaged blob must be told from a malformed layer.
    io::copy(&mut BufReader::with_capacity(PIECE, &mut blob), &mut io::sink())?;
    blob.finish()
}

fn inflate_all(blob: &mut impl Read, pieces: &SyncSender<Piece>, empties: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut plain = decoder(BufReader::with_capacity(PIECE, blob))?;
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

fn hash(pieces: &Receiver<Piece>, out: &SyncSender<Piece>, limit: u64) -> (Digest, u64) {
    let (mut sum, mut size, mut is_over) = (Sha256::new(), 0_u64, false);
    for mut piece in pieces {
        if let Ok(bytes) = &piece {
            size += bytes.len() as u64;
            if size > limit {
                is_over = true;
                piece = Err(io::Error::new(io::ErrorKind::FileTooLarge, "the uncompressed layer is too large"));
            } else {
                sum.update(bytes);
            }
        }
        // When nobody takes the pieces any more there is an error already, and no use for a digest.
        if out.send(piece).is_err() || is_over {
            break;
        }
    }
    (Digest::from_sha256(&sum.finalize().into()), size)
}

impl TarStream {
    /// Whether the limit was reached.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Reads what is left, and nothing else can be read.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        while self.next_piece()? {}
        Ok(())
    }

    /// Makes the next piece the current one; `false` at the end.
    fn next_piece(&mut self) -> io::Result<bool> {
        let Ok(piece) = self.pieces.recv() else { return Ok(false) };
        if let Err(error) = &piece {
            self.is_over |= error.kind() == io::ErrorKind::FileTooLarge;
        }
        let empty = std::mem::replace(&mut self.current, piece?);
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
