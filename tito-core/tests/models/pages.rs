//! Pages that are bounded in bytes read no more than about so much.

use tito_core::database::{PageSize, Walk};
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_test_engines::{FaultEngine, WithFaults};

/// Writes rows of such sizes, in their order.
async fn put(db: &Database, sizes: &[usize]) {
    for (first, some) in sizes.chunks(20).enumerate() {
        let rows = some.iter().enumerate().map(|(number, size)| (format!("row/{first:03}{number:02}"), vec![0; *size]));
        let rows: Vec<_> = rows.collect();
        let put = |tx: tito_core::Transaction| async move {
            for (key, value) in rows {
                tx.put(key.into_bytes(), value).await?;
            }
            Ok(())
        };
        db.transaction(put).await.unwrap();
    }
}

#[fact]
pub async fn a_page_that_is_bounded_in_bytes_reads_little_more(db: Database) {
    let db = FaultEngine::new(db).database();
    // Small ones first, so that nothing tells of the large ones.
    let sizes = [&[100; 10][..], &[200_000; 60]].concat();
    put(&db, &sizes).await;
    let size = PageSize::entries(500).and_bytes(2 << 20);
    let mut walk = Walk::over(KeyRange::prefix("row/")).in_pages(size);
    let tx = db.begin().await.unwrap();
    let (mut all, mut pages) = (Vec::new(), 0);
    while !walk.is_over() {
        let before = db.faults().rows_read();
        let page = walk.next_in(&tx).await.unwrap().unwrap_or_default();
        let read = db.faults().rows_read() - before;
        assert!(page.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= 2 << 20);
        // By how much it can be mistaken, where all that it saw was small.
        assert!(read <= 40, "{read} rows for {}", page.len());
        if pages > 0 {
            assert!(read <= 12, "{read} rows for {}", page.len());
        }
        all.extend(page.into_iter().map(|(_, value)| value.len()));
        pages += 1;
    }
    assert_eq!(all, sizes);
    assert_eq!(pages, 6);
    let mut by_number = Walk::over(KeyRange::prefix("row/")).in_pages(PageSize::entries(35));
    let numbers = [by_number.next_in(&tx).await.unwrap(), by_number.next_in(&tx).await.unwrap()];
    assert_eq!(numbers.map(|page| page.unwrap().len()), [35, 35]);
    assert!(by_number.next_in(&tx).await.unwrap().is_none());
}
