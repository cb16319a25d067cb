//! Floats are read back as they were written, and found by their own values.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_test_engines::seed;

use crate::support::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "measure")]
#[tito(index(name = "by_both", fields(single, value)))]
struct Measure {
    id: u64,
    #[tito(index)]
    value: f64,
    #[tito(index(name = "by_exact", unique))]
    exact: Option<f64>,
    #[tito(index)]
    single: f32,
    #[tito(index)]
    many: Vec<f64>,
    #[serde(flatten)]
    more: More,
}

/// Read by serde through a form of its own in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct More {
    flat: f64,
    flat_single: f32,
    nested: BTreeMap<String, serde_json::Value>,
}

/// Values of every kind that JSON can hold, those of all bits among them.
fn value(random: &mut fastrand::Rng) -> f64 {
    const ODD: [f64; 14] = [
        117.63331139400017,
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        2.225073858507201e-308,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        0.1,
        1e23,
        9_007_199_254_740_993.0,
        123_456_789_012_345_680_000.0,
    ];
    loop {
        let value = match random.u8(0..6) {
            0 => ODD[random.usize(0..ODD.len())],
            1 => random.f64() * 1_000.0,
            2 => f64::from_bits(random.u64(0..1 << 52)),
            3 => random.i64(..) as f64 / 1_000.0,
            _ => f64::from_bits(random.u64(..)),
        };
        if value.is_finite() {
            return value;
        }
    }
}

fn single(random: &mut fastrand::Rng) -> f32 {
    loop {
        let value = match random.u8(0..3) {
            0 => random.f32() * 1_000.0,
            1 => f32::from_bits(random.u32(0..1 << 23)),
            _ => f32::from_bits(random.u32(..)),
        };
        if value.is_finite() {
            return value;
        }
    }
}

fn measure(id: u64, random: &mut fastrand::Rng) -> Measure {
    let nested = BTreeMap::from([("deep".to_string(), serde_json::json!([{ "value": value(random) }, value(random)]))]);
    Measure {
        id,
        value: value(random),
        exact: random.bool().then(|| value(random)),
        single: single(random),
        many: (0..random.usize(0..4)).map(|_| value(random)).collect(),
        more: More { flat: value(random), flat_single: single(random), nested },
    }
}

/// The row with its floats as bits, which tell -0.0 from 0.0.
fn bits(row: &Measure) -> (Vec<u64>, Vec<u32>, String) {
    let many = [row.value, row.more.flat].into_iter().chain(row.exact).chain(row.many.iter().copied());
    let singles = [row.single, row.more.flat_single];
    let nested = format!("{:?}", row.more.nested);
    (many.map(f64::to_bits).collect(), singles.map(f32::to_bits).to_vec(), nested)
}

#[fact]
pub async fn floats_are_read_back_and_found_by_their_own_values(db: Database) {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut taken = BTreeSet::new();
    let mut rows: Vec<Measure> = (0..400).map(|id| measure(id, &mut random)).collect();
    rows[0] = Measure { value: 117.63331139400017, exact: Some(117.63331139400017), ..rows[0].clone() };
    for row in &mut rows {
        // As an index compares them: -0.0 is 0.0.
        row.exact = row.exact.filter(|exact| taken.insert((exact + 0.0).to_bits()));
    }
    insert_all(&db, &rows).await;
    assert_index_is_exact::<Measure>(&db).await;

    let measures = db.clone().model::<Measure>();
    let tx = db.begin().await.unwrap();
    for row in &rows {
        let read = measures.get(&row.id.to_string(), &tx).await.unwrap().unwrap();
        assert_eq!(bits(&read), bits(row));
        let by_value = measures.query(Measure::BY_VALUE).equals(row.value).ids(&tx).await.unwrap();
        let by_single = measures.query(Measure::BY_SINGLE).equals(row.single).ids(&tx).await.unwrap();
        let by_both = measures.query(Measure::BY_BOTH).equals((row.single, row.value)).ids(&tx).await.unwrap();
        let mut found = vec![by_value, by_single, by_both];
        if let Some(exact) = row.exact {
            found.push(measures.query(Measure::BY_EXACT).equals(exact).ids(&tx).await.unwrap());
        }
        for &one in &row.many {
            found.push(measures.query(Measure::BY_MANY).equals(one).ids(&tx).await.unwrap());
        }
        let is_found = found.iter().all(|ids| ids.contains(&row.id.to_string()));
        assert!(is_found, "{row:?} is not found by each of its values: {found:?}");
    }
    tx.rollback().await;

    // What a deleted or changed row leaves free is free.
    let (deleted, changed) = rows.split_at(200);
    let deleted: Vec<_> = deleted.iter().map(|row| row.id.to_string()).collect();
    let changed: Vec<_> = changed.iter().map(|row| Measure { exact: None, ..row.clone() }).collect();
    let changing = measures.clone();
    db.transaction(|tx| async move {
        for id in &deleted {
            changing.delete(id, &tx).await?;
        }
        for row in &changed {
            changing.update(row, &tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_index_is_exact::<Measure>(&db).await;
    let again: Vec<_> = rows.into_iter().map(|row| Measure { id: row.id + 1_000, ..row }).collect();
    insert_all(&db, &again).await;
    assert_index_is_exact::<Measure>(&db).await;
}

/// The same of a model that tells its indexes as configurations, whose fields are found in its JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Reading {
    id: String,
    value: f64,
    single: f32,
    any: serde_json::Value,
}

const BY_VALUE: Index<Reading, (f64,)> = Index::new("by_value", true);
const BY_SINGLE: Index<Reading, (f32,)> = Index::new("by_single", false);
const BY_ANY: Index<Reading, (f64,)> = Index::new("by_any", false);

impl TitoModelTrait for Reading {
    fn id(&self) -> String {
        self.id.clone()
    }
    fn table(&self) -> String {
        "reading".to_string()
    }
    fn indexes(&self) -> Vec<TitoIndexConfig> {
        let index = |name: &str| {
            let fields = vec![TitoIndexField { name: name.to_string(), r#type: TitoIndexBlockType::Float }];
            TitoIndexConfig { condition: true, name: format!("by_{name}"), fields }
        };
        ["value", "single", "any"].map(index).into()
    }
    fn unique_indexes(&self) -> Vec<String> {
        vec!["by_value".to_string()]
    }
}

#[fact]
pub async fn floats_of_models_written_by_hand_are_found_too(db: Database) {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut taken = BTreeSet::new();
    let rows = std::iter::repeat_with(|| (value(&mut random), single(&mut random), value(&mut random)));
    let rows: Vec<_> = rows
        .filter(|(value, ..)| taken.insert((value + 0.0).to_bits()))
        .take(300)
        .enumerate()
        .map(|(id, (value, single, any))| Reading { id: id.to_string(), value, single, any: any.into() })
        .collect();
    insert_all(&db, &rows).await;
    let readings = db.clone().model::<Reading>();
    let tx = db.begin().await.unwrap();
    for row in &rows {
        assert_eq!(readings.get(&row.id, &tx).await.unwrap().as_ref(), Some(row));
        let any = row.any.as_f64().unwrap();
        let found = [
            readings.query(BY_VALUE).equals(row.value).ids(&tx).await.unwrap(),
            readings.query(BY_SINGLE).equals(row.single).ids(&tx).await.unwrap(),
            readings.query(BY_ANY).equals(any).ids(&tx).await.unwrap(),
        ];
        assert!(found.iter().all(|ids| ids.contains(&row.id)), "{row:?} is not found by each of its values: {found:?}");
        readings.delete(&row.id, &tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_index_is_exact::<Reading>(&db).await;
    insert_all(&db, &rows).await;
}
