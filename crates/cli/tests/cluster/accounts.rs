use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator of NATS with an account for hubs: what `nsc` would have made.
pub(crate) struct Operator {
    hubs: KeyPair,
    /// For a server's configuration.
    pub(crate) configuration: String,
}

impl Operator {
    pub(crate) fn new() -> Self {
        let (operator, system, hubs) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        let own = json!({ "type": "operator", "version": 2 });
        let account = |account: &KeyPair, storage: i64| {
            let limits = json!({
                "subs": -1, "conn": -1, "leaf": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
                "wildcards": true, "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
            });
            signed(&operator, account, &json!({ "type": "account", "version": 2, "limits": limits }))
        };
        let configuration = format!(
            "operator: {}\nresolver: MEMORY\nsystem_account: {system_key}\n\
             resolver_preload: {{ {system_key}: {}, {}: {} }}",
            signed(&operator, &operator, &own),
            account(&system, 0),
            hubs.public_key(),
            account(&hubs, -1),
            system_key = system.public_key(),
        );
        Self { hubs, configuration }
    }

    /// A credentials file of a user of the hubs' account.
    pub(crate) fn user(&self) -> String {
        let user = KeyPair::new_user();
        let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let token = signed(&self.hubs, &user, &claims);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// A token about `subject`, signed by `issuer`.
fn signed(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    let claims = json!({
        "jti": fastrand::u64(..).to_string(), "iat": 1, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": nats,
    });
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), encode(&claims));
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}
