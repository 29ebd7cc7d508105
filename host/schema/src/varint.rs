//! The numbers of the payload encoding: postcard's varints and zigzag.

/// Appends `value`, seven bits to a byte, lowest first.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Folds the sign into the lowest bit.
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag`].
#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Puts `length` at `at`, where one byte was kept free for it. What follows moves up
/// when the length needs more.
#[inline]
pub(crate) fn fill_length(out: &mut Vec<u8>, at: usize, length: usize) {
    if length < 0x80 {
        out[at] = length as u8;
        return;
    }
    let mut bytes = Vec::with_capacity(5);
    push(&mut bytes, length as u64);
    out.splice(at..=at, bytes);
}

/// Reads the varint of a number of `bits` bits at `*pos`, and moves past it. None
/// where it is cut short or does not fit.
#[inline]
pub(crate) fn read(bytes: &[u8], pos: &mut usize, bits: u32) -> Option<u64> {
    let first = *bytes.get(*pos)?;
    *pos += 1;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    while shift < bits {
        let byte = *bytes.get(*pos)?;
        *pos += 1;
        let low = u64::from(byte & 0x7f);
        if bits - shift < 7 && low >> (bits - shift) != 0 {
            return None;
        }
        value |= low << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_past_their_width_are_refused() {
        assert_eq!(read(&[0xff, 0xff, 0x03], &mut 0, 16), Some(65_535));
        assert_eq!(read(&[0xff, 0xff, 0x04], &mut 0, 16), None);
        assert_eq!(read(&[0xff, 0xff, 0x80, 0x00], &mut 0, 16), None);
        assert_eq!(read(&[0x80], &mut 0, 16), None);
        let mut max = vec![0xff; 9];
        max.push(0x01);
        assert_eq!(read(&max, &mut 0, 64), Some(u64::MAX));
        max[9] = 0x02;
        assert_eq!(read(&max, &mut 0, 64), None);
    }

    #[test]
    fn a_long_length_moves_what_follows() {
        let mut out = b"x\0abc".to_vec();
        fill_length(&mut out, 1, 300);
        assert_eq!(out, b"x\xac\x02abc");
    }

    #[test]
    fn zigzag_is_undone() {
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
