use serde::{Deserialize, Serialize};
use tito_core::{model::Index, prelude::*};

fn is_a_model<M: tito_core::model::TitoSchema>() {}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(tabel = "user", event = "a:b", delay = "soon")]
#[tito(index(name = "by_mail", fields(mail, emails), uniq))]
struct User {
    #[tito(index, event = "changed", on(update), at = )]
    email: String,
    #[tito(index(name = "by_email"), index(name = "By Name"))]
    name: String,
}

fn main() {
    // Neither of these has an error of its own.
    is_a_model::<User>();
    let _: Index<User, (String,)> = User::BY_EMAIL;
}
