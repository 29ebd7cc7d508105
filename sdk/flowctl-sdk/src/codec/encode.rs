//! Values to bytes.

/// A value that can be written as payload or state; see the
/// [module](crate::codec) for the bytes.
///
/// The macro implements it for every event type, owned and borrowed.
///
/// ```
/// use flowctl_sdk::codec::Encode;
///
/// let mut out = vec![0xff];
/// Some("x").encode(&mut out);
/// assert_eq!(out, [0xff, 1, 1, b'x']);
/// ```
pub trait Encode {
    /// Appends the bytes to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Appends the bytes of a list's elements; bytes override it to copy at once.
    #[doc(hidden)]
    fn encode_elements(elements: &[Self], out: &mut Vec<u8>)
    where
        Self: Sized,
    {
        for element in elements {
            element.encode(out);
        }
    }
}

impl Encode for u8 {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    #[inline]
    fn encode_elements(elements: &[Self], out: &mut Vec<u8>) {
        out.extend_from_slice(elements);
    }
}

impl Encode for i8 {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.to_le_bytes()[0]);
    }
}

impl Encode for bool {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

macro_rules! encode_unsigned {
    ($($unsigned:ty),*) => {$(
        impl Encode for $unsigned {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                let mut rest = *self;
                // One reservation for the longest varint, so that the pushes need none.
                out.reserve((<$unsigned>::BITS as usize).div_ceil(7));
                while rest >= 0x80 {
                    out.push((rest & 0x7f) as u8 | 0x80);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
        }
    )*};
}
encode_unsigned!(u16, u32, u64, u128);

macro_rules! encode_signed {
    ($($signed:ty as $unsigned:ty),*) => {$(
        impl Encode for $signed {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                let zigzag = (*self << 1) ^ (*self >> (<$signed>::BITS - 1));
                zigzag.cast_unsigned().encode(out);
            }
        }
    )*};
}
encode_signed!(i16 as u16, i32 as u32, i64 as u64, i128 as u128);

impl Encode for f32 {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Encode for f64 {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Encode for char {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_utf8(&mut [0; 4]).encode(out);
    }
}

impl Encode for str {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u64).encode(out);
        out.extend_from_slice(self.as_bytes());
    }
}

impl Encode for String {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl<T: Encode> Encode for [T] {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u64).encode(out);
        T::encode_elements(self, out);
    }
}

impl<T: Encode> Encode for Vec<T> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
}

impl<T: Encode, E: Encode> Encode for Result<T, E> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                out.push(0);
                value.encode(out);
            }
            Err(error) => {
                out.push(1);
                error.encode(out);
            }
        }
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode(self, out);
    }
}

impl Encode for () {
    #[inline]
    fn encode(&self, _out: &mut Vec<u8>) {}
}

macro_rules! encode_tuple {
    ($($name:ident)+) => {
        impl<$($name: Encode),+> Encode for ($($name,)+) {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                $($name.encode(out);)+
            }
        }
    };
}
encode_tuple!(A);
encode_tuple!(A B);
encode_tuple!(A B C);
encode_tuple!(A B C D);
encode_tuple!(A B C D E);
encode_tuple!(A B C D E F);
encode_tuple!(A B C D E F G);
encode_tuple!(A B C D E F G H);
encode_tuple!(A B C D E F G H I);
encode_tuple!(A B C D E F G H I J);
encode_tuple!(A B C D E F G H I J K);
encode_tuple!(A B C D E F G H I J K L);
