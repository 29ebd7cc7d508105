//! Transaction results: the fee, the success and the results of the operations.

use flowctl_xdr::{self as xdr, Read, Reader};

const FEE_BUMP_INNER_SUCCESS: i32 = 1;
const SUCCESS: i32 = 0;
const FAILED: i32 = -1;
const FEE_BUMP_INNER_FAILED: i32 = -13;
const LOWEST: i32 = -18;

/// What came of a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TxResult<'a> {
    /// The hash of the transaction; of the outer one for fee bumps.
    pub hash: &'a [u8; 32],
    /// The fee that was charged, in stroops.
    pub fee_charged: i64,
    /// Whether its operations took effect.
    pub is_success: bool,
    /// How many results of operations there are.
    pub n_operations: u32,
    operations: Reader<'a>,
}

impl<'a> TxResult<'a> {
    /// Reads the results of its operations in order: each reader is at the type of
    /// the operation, since the operations of a successful transaction all have one.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Read<Reader<'a>>> + use<'a> {
        let mut r = self.operations;
        (0..self.n_operations).map(move |_| {
            let start = r.position();
            xdr::operation_result(&mut r)?;
            let mut result = r.span(start, r.position());
            if result.i32()? != 0 {
                return Err(result.malformed("failed operation in a successful transaction"));
            }
            Ok(result)
        })
    }
}

/// Reads a `TransactionResultPair`.
pub(super) fn read<'a>(r: &mut Reader<'a>) -> Read<TxResult<'a>> {
    let hash = r.array()?;
    let fee_charged = r.i64()?;
    let code = r.i32()?;
    let (n_operations, operations) = match code {
        FEE_BUMP_INNER_SUCCESS | FEE_BUMP_INNER_FAILED => {
            r.skip(32 + 8)?;
            let inner = r.i32()?;
            if matches!(inner, FEE_BUMP_INNER_SUCCESS | FEE_BUMP_INNER_FAILED) {
                return Err(r.malformed("fee bump within a fee bump"));
            }
            let operations = read_operations(r, inner)?;
            r.no_extension()?;
            operations
        }
        _ => read_operations(r, code)?,
    };
    r.no_extension()?;
    let is_success = matches!(code, SUCCESS | FEE_BUMP_INNER_SUCCESS);
    Ok(TxResult { hash, fee_charged, is_success, n_operations, operations })
}

fn read_operations<'a>(r: &mut Reader<'a>, code: i32) -> Read<(u32, Reader<'a>)> {
    let start = r.position();
    match code {
        SUCCESS | FAILED => {
            let n_operations = r.list(u32::MAX, xdr::operation_result)?;
            Ok((n_operations, r.span(start + 4, r.position())))
        }
        LOWEST..FAILED => Ok((0, r.span(start, start))),
        _ => Err(r.malformed("unknown result of a transaction")),
    }
}
