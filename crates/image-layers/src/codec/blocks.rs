//! Compression in independent blocks on a few threads.
//!
//! A gzip stream may consist of any number of members and a zstd stream of any number of frames; every reader of layers
//! accepts both (tried: skopeo, GNU gzip and tar, Python). So blocks of a fixed size are compressed independently and
//! written in order: the output does not depend on the number of threads, and memory is bounded. libdeflate is four times
//! as fast as zlib at the same size.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::Compression;
use super::gzip::GzipCodec;

/// Input bytes per gzip member.
const GZIP_BLOCK: usize = 1 << 20;
/// Input bytes per zstd frame: larger, because matches reach back 1 or 2 MiB.
const ZSTD_BLOCK: usize = 4 << 20;
/// How far the threads stand back.
const NICE: i32 = 5;
/// More threads than this only cost memory.
const THREADS_MAX: usize = 32;

/// Compresses what is written to it and passes it on to `W`.
#[derive(Debug)]
pub(crate) struct BlockWriter<W> {
    out: W,
    block: Vec<u8>,
    block_size: usize,
    /// `None` when nothing is compressed.
    pool: Option<Pool>,
}

#[derive(Debug)]
struct Pool {
    jobs: SyncSender<Job>,
    waiting: VecDeque<Receiver<Done>>,
    waiting_max: usize,
    empties: Vec<Vec<u8>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    input: Vec<u8>,
    reply: SyncSender<Done>,
}

#[derive(Debug)]
struct Done {
    /// To be filled again.
    input: Vec<u8>,
    output: io::Result<Vec<u8>>,
}

impl<W: Write> BlockWriter<W> {
    /// Starts `threads` threads (0: as many as there are processors).
    ///
    /// # Errors
    /// The level does not exist (`InvalidInput`), or a thread cannot be started.
    pub(crate) fn new(out: W, compression: Compression, threads: usize) -> io::Result<Self> {
        let block_size = match compression {
            Compression::Zstd { .. } => ZSTD_BLOCK,
            Compression::Gzip { .. } | Compression::None => GZIP_BLOCK,
        };
        let pool = if compression == Compression::None { None } else { Some(Pool::start(compression, threads)?) };
        Ok(Self { out, block: Vec::with_capacity(block_size), block_size, pool })
    }

    /// Compresses what is left, waits for the threads, and gives the stream back.
    ///
    /// # Errors
    /// Compressing or writing failed.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.flush_block()?;
        if let Some(mut pool) = self.pool.take() {
            while pool.write_oldest(&mut self.out)? {}
            pool.stop();
        }
        Ok(self.out)
    }

    /// Passes on what is compressed already: whole members or frames of the same compression. What was written before
    /// comes before it, in members of its own.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub(crate) fn compressed(&mut self, mut members: impl Read) -> io::Result<()> {
        self.flush_block()?;
        if let Some(pool) = &mut self.pool {
            while pool.write_oldest(&mut self.out)? {}
        }
        io::copy(&mut members, &mut self.out).map(drop)
    }

    fn flush_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let Some(pool) = &mut self.pool else {
            self.out.write_all(&self.block)?;
            self.block.clear();
            return Ok(());
        };
        while pool.waiting.len() >= pool.waiting_max {
            pool.write_oldest(&mut self.out)?;
        }
        let mut empty = pool.empties.pop().unwrap_or_else(|| Vec::with_capacity(self.block_size));
        empty.clear();
        pool.submit(std::mem::replace(&mut self.block, empty))
    }
}

impl<W: Write> Write for BlockWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.block_size - self.block.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.block.extend_from_slice(taken);
        if self.block.len() == self.block_size {
            self.flush_block()?;
        }
        Ok(taken.len())
    }

    /// Does nothing: blocks have a fixed size, or the output would depend on who flushes when.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pool {
    fn start(compression: Compression, threads: usize) -> io::Result<Self> {
        let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let threads = threads.min(THREADS_MAX);
        let waiting_max = 2 * threads;
        let (sender, receiver) = sync_channel(waiting_max);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut started = Vec::with_capacity(threads);
        for _ in 0..threads {
            let mut codec = Codec::new(compression)?;
            let jobs = Arc::clone(&receiver);
            let work = move || {
                // Who hashes, writes and sends what is compressed goes first: what waits for them is at the end of a build.
                let _ = rustix::process::nice(NICE);
                while let Some(job) = next_job(&jobs) {
                    let output = codec.compress(&job.input);
                    // Nobody waits any more when the packing was given up.
                    let _ = job.reply.send(Done { input: job.input, output });
                }
            };
            started.push(thread::Builder::new().name("compress".to_owned()).spawn(work)?);
        }
        Ok(Self { jobs: sender, waiting: VecDeque::new(), waiting_max, empties: Vec::new(), threads: started })
    }

    fn submit(&mut self, input: Vec<u8>) -> io::Result<()> {
        let (reply, done) = sync_channel(1);
        self.jobs.send(Job { input, reply }).map_err(|_| died())?;
        self.waiting.push_back(done);
        Ok(())
    }

    /// Waits for the oldest block and writes it; `false` when there is none.
    fn write_oldest(&mut self, out: &mut impl Write) -> io::Result<bool> {
        let Some(oldest) = self.waiting.pop_front() else { return Ok(false) };
        let done = oldest.recv().map_err(|_| died())?;
        out.write_all(&done.output?)?;
        self.empties.push(done.input);
        Ok(true)
    }

    /// Lets the threads end and waits for them.
    fn stop(self) {
        drop(self.jobs);
        for thread in self.threads {
            // A panic in there was seen as a missing reply already.
            let _ = thread.join();
        }
    }
}

fn next_job(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn died() -> io::Error {
    io::Error::other("a compressing thread ended early")
}

enum Codec {
    Gzip(GzipCodec),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Codec {
    fn new(compression: Compression) -> io::Result<Self> {
        let no_level = |level| io::Error::new(io::ErrorKind::InvalidInput, format!("there is no compression level {level}"));
        match compression {
            Compression::Zstd { level } if !(1..=22).contains(&level) => Err(no_level(i64::from(level))),
            Compression::Zstd { level } => Ok(Codec::Zstd(zstd::bulk::Compressor::new(level)?)),
            Compression::Gzip { level } => Ok(Codec::Gzip(GzipCodec::new(level).ok_or_else(|| no_level(i64::from(level)))?)),
            Compression::None => Err(io::Error::new(io::ErrorKind::InvalidInput, "no compression needs no codec")),
        }
    }

    fn compress(&mut self, input: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Codec::Zstd(codec) => codec.compress(input),
            Codec::Gzip(codec) => codec.compress(input),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;
    use crate::codec::decoder;

    fn compressed(data: &[u8], compression: Compression, threads: usize, piece: usize) -> Vec<u8> {
        let mut writer = BlockWriter::new(Vec::new(), compression, threads).expect("a writer");
        for piece in data.chunks(piece) {
            writer.write_all(piece).expect("written");
        }
        writer.finish().expect("finished")
    }

    /// Five megabytes that compress, but not to nothing.
    fn data() -> Vec<u8> {
        (0_u32..1_300_000).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect()
    }

    #[test]
    fn the_output_depends_neither_on_threads_nor_on_the_sizes_of_writes() {
        let data = data();
        for compression in [Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }, Compression::None] {
            let one = compressed(&data, compression, 1, 512);
            assert_eq!(one, compressed(&data, compression, 5, 3_000_017), "{compression:?}");
            let mut back = Vec::new();
            decoder(BufReader::new(&one[..])).expect("a decoder").read_to_end(&mut back).expect("inflated");
            assert!(back == data, "{compression:?}");
            assert!(compression == Compression::None || one.len() < data.len() / 2, "{compression:?}: {}", one.len());
        }
    }

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        for compression in [Compression::Gzip { level: 13 }, Compression::Zstd { level: 0 }, Compression::Zstd { level: 23 }] {
            let error = BlockWriter::new(Vec::new(), compression, 1).map(|_| ()).expect_err("no such level");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{compression:?}");
        }
    }
}
