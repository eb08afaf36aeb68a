//! Whether a piece of data is worth compressing. A guess from the bytes alone, so the same everywhere; a wrong one costs
//! size or time, never content. Used by [`super::gzip`].

/// Bytes that are judged together.
pub(super) const PIECE: usize = 4096;
/// Bytes looked at first: enough to see that text and programs are not random.
const GLANCE: usize = 512;
/// Bytes whose repetition is looked for.
const HEAD: usize = 1024;
/// Slots for the positions in [`HEAD`].
const SLOTS: usize = 4096;
/// Sequences of four bytes seen before; in random data there is one in many pieces.
const REPEATS_MAX: usize = 8;

/// Whether no byte of `piece` is more frequent than chance makes it and next to nothing in it repeats.
pub(super) fn is_incompressible(piece: &[u8]) -> bool {
    piece.len() == PIECE && is_flat(&piece[..GLANCE]) && is_flat(piece) && !repeats(piece)
}

/// The chi-square test against equal frequencies: random bytes score 255, give or take 23, whatever the length. What
/// scores 600 at the length of a piece, a Huffman code could shrink by half a percent.
fn is_flat(bytes: &[u8]) -> bool {
    let mut counts = [[0_u16; 256]; 4];
    let [first, second, third, fourth] = &mut counts;
    for four in bytes.chunks_exact(4) {
        first[usize::from(four[0])] += 1;
        second[usize::from(four[1])] += 1;
        third[usize::from(four[2])] += 1;
        fourth[usize::from(four[3])] += 1;
    }
    let squares: u64 = (0..256)
        .map(|byte| {
            let count = u64::from(first[byte]) + u64::from(second[byte]) + u64::from(third[byte]) + u64::from(fourth[byte]);
            count * count
        })
        .sum();
    let length = bytes.len() as u64;
    // chi-square = 256 / n * squares - n
    256 * squares <= length * (length + 600)
}

/// Whether the head of the piece comes again: ramps and tables have flat frequencies, too.
fn repeats(piece: &[u8]) -> bool {
    let mut last = [0_u32; SLOTS];
    let slot = |four: u32| (four.wrapping_mul(0x9e37_79b1) >> 20) as usize;
    let fours = |bytes| <[u8]>::windows(bytes, 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let mut found = 0;
    for four in fours(&piece[..HEAD]) {
        let seen = &mut last[slot(four)];
        found += usize::from(*seen == four);
        *seen = four;
    }
    found += fours(&piece[HEAD..]).step_by(5).filter(|four| last[slot(*four)] == *four).count();
    found > REPEATS_MAX
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A generator with no pattern that anybody could find in a few kilobytes (splitmix64).
    pub(in crate::codec) fn noise(seed: u64, length: usize) -> Vec<u8> {
        let word = |number: u64| {
            let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        };
        (0..length.div_ceil(8) as u64).flat_map(word).take(length).collect()
    }

    #[test]
    fn noise_is_incompressible_and_nothing_else() {
        let noise_of = |length| noise(1, length);
        for seed in 0..200 {
            assert!(is_incompressible(&noise(seed * 1_000_003, PIECE)), "seed {seed}");
        }
        assert!(!is_incompressible(&noise_of(PIECE - 1)), "a piece that is cut short goes with what is around it");
        let ramp: Vec<u8> = (0..PIECE).map(|n| n as u8).collect();
        let counters: Vec<u8> = (0..PIECE as u16 / 2).flat_map(u16::to_le_bytes).collect();
        let repeated: Vec<u8> = noise_of(700).into_iter().cycle().take(PIECE).collect();
        let half = [noise_of(PIECE / 2), b"all work and no play ".iter().copied().cycle().take(PIECE / 2).collect()].concat();
        let hex: Vec<u8> = noise_of(PIECE / 2).iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect();
        for (what, piece) in [
            ("ramp", ramp),
            ("counters", counters),
            ("repeated", repeated),
            ("half text", half),
            ("hex", hex),
            ("zeros", vec![0; PIECE]),
        ] {
            assert_eq!(piece.len(), PIECE, "{what}");
            assert!(!is_incompressible(&piece), "{what}");
        }
    }
}
