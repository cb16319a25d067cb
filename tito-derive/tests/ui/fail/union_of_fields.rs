use tito_core::TitoModel;

#[derive(TitoModel)]
union User {
    id: u64,
}

fn main() {}
