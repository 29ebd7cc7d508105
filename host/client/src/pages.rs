//! Lists that come in pages, read to their end.

use crate::ClientError;

/// Entries asked for at once.
pub(crate) const PAGE_LEN: u32 = 1_000;

/// Asks `page` for pages until one says that it is the last, at most `max` entries.
pub(crate) async fn all<T, F>(max: usize, mut page: impl FnMut(String) -> F) -> Result<Vec<T>, ClientError>
where
    F: Future<Output = Result<(Vec<T>, String), ClientError>>,
{
    let (mut entries, mut token) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(std::mem::take(&mut token)).await?;
        entries.extend(more);
        if next.is_empty() || entries.len() >= max {
            entries.truncate(max);
            return Ok(entries);
        }
        token = next;
    }
}
