//! Keys from a small Secrets Manager.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flagstone_aws::secret::{MAX_AGE_MS, MAX_KEYS, RETRY_MS, SecretSigner};
use flagstone_bundle::framing::PayloadType;
use flagstone_bundle::root::Scope;
use flagstone_cloud::proxy::{Fault, Proxy, Rule};
use flagstone_cloud::secrets::Secrets;
use flagstone_model::key::EnvironmentId;
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::keys::{ManifestSigner as _, parse_private_key};
use flagstone_publisher::publication::conformance::stream;

use crate::world::services;

/// The keys of RFC 8410, section 10.3, and of RFC 8032, section 7.1, test 2.
const KEYS: [&str; 2] = [
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEzNCJsoly/5a0bVnZIRGbrFTabOpqP7Ru21lmxuWeKH\n-----END PRIVATE KEY-----\n",
];

struct World {
    secrets: Secrets,
    clock: Arc<ManualClock>,
    signer: SecretSigner,
}

async fn world() -> World {
    let (secrets, clock) = (Secrets::start().await.unwrap(), Arc::new(ManualClock::at(1_795_000_000_000)));
    let staging = Scope::Environment(EnvironmentId::parse("staging").unwrap());
    let names = BTreeMap::from([(Scope::Others, "manifest".to_owned()), (staging, "staging".to_owned())]);
    let client = services(None, None, Some(secrets.url())).secrets();
    let signer = SecretSigner::new(client, names, clock.clone());
    World { secrets, clock, signer }
}

impl World {
    /// What signs for an environment now, by comparing with what each key signs; or the code of the error.
    async fn signs(&self, environment: &str) -> Result<Vec<usize>, &'static str> {
        let made = self.signer.sign(&stream(environment), b"payload").await.map_err(|error| error.code())?;
        let by =
            |text: &str| parse_private_key(text.as_bytes()).unwrap().sign(PayloadType::Manifest, b"payload");
        let known = KEYS.map(by);
        Ok(made.iter().map(|signature| known.iter().position(|known| known == signature).unwrap()).collect())
    }
}

#[tokio::test]
async fn a_secret_is_read_once_a_minute_and_a_rotated_one_signs_then() {
    let world = world().await;
    world.secrets.put("manifest", KEYS[0]);
    assert_eq!((world.signs("production").await, world.signs("other").await), (Ok(vec![0]), Ok(vec![0])));
    assert_eq!(world.secrets.asked(), 1);
    world.secrets.put("manifest", KEYS[1]);
    world.clock.advance(MAX_AGE_MS - 1);
    assert_eq!(world.signs("production").await, Ok(vec![0]));
    world.clock.advance(1);
    assert_eq!(world.signs("production").await, Ok(vec![1]));
    // A clock that was set back proves nothing of an age.
    world.clock.advance(-1);
    assert_eq!((world.signs("production").await, world.secrets.asked()), (Ok(vec![1]), 3));
}

#[tokio::test]
async fn an_environment_with_a_secret_of_its_own_is_signed_by_that() {
    let world = world().await;
    world.secrets.put("manifest", KEYS[0]);
    world.secrets.put("staging", KEYS[1]);
    assert_eq!((world.signs("staging").await, world.signs("production").await), (Ok(vec![1]), Ok(vec![0])));
    // It is not signed by the others' if its own is gone.
    world.secrets.remove("staging");
    world.clock.advance(MAX_AGE_MS);
    assert_eq!(world.signs("staging").await, Err("service-missing"));
}

#[tokio::test]
async fn while_keys_change_each_of_them_signs() {
    let world = world().await;
    world.secrets.put("manifest", &KEYS.concat());
    assert_eq!(world.signs("production").await, Ok(vec![0, 1]));
    world.clock.advance(MAX_AGE_MS);
    world.secrets.put("manifest", &KEYS[0].repeat(MAX_KEYS));
    assert_eq!(world.signs("production").await, Ok(vec![0; MAX_KEYS]));
    world.clock.advance(MAX_AGE_MS);
    world.secrets.put("manifest", &KEYS[0].repeat(MAX_KEYS + 1));
    assert_eq!(world.signs("production").await, Err("signing-secret-malformed"));
}

#[tokio::test]
async fn a_withdrawn_or_malformed_secret_signs_no_more() {
    let world = world().await;
    assert_eq!(world.signs("production").await, Err("service-missing"));
    for malformed in ["", "hunter2", &KEYS[0].replace("MC4C", "MC5C"), &format!("{}hunter2", KEYS[0])] {
        world.secrets.put("manifest", malformed);
        assert_eq!(world.signs("production").await, Err("signing-secret-malformed"));
    }
    let error = world.signer.sign(&stream("production"), b"").await.unwrap_err();
    assert!(error.to_string().contains("the secret `manifest`") && !error.to_string().contains("hunter2"));
    world.secrets.put("manifest", KEYS[0]);
    assert_eq!(world.signs("production").await, Ok(vec![0]));
    world.secrets.remove("manifest");
    world.clock.advance(MAX_AGE_MS);
    assert_eq!(world.signs("production").await, Err("service-missing"));
}

#[tokio::test]
async fn what_was_read_goes_on_signing_while_the_service_does_not_answer() {
    let World { secrets, clock, signer } = world().await;
    secrets.put("manifest", KEYS[0]);
    assert_eq!(signer.sign(&stream("production"), b"payload").await.unwrap().len(), 1);
    drop(secrets);
    clock.advance(MAX_AGE_MS);
    assert_eq!(signer.sign(&stream("production"), b"payload").await.unwrap().len(), 1);
    // A service that is there again is asked soon, and not each time.
    clock.advance(RETRY_MS - 1);
    assert_eq!(signer.sign(&stream("production"), b"payload").await.unwrap().len(), 1);
    // Nothing was read for this one.
    let error = signer.sign(&stream("staging"), b"payload").await.unwrap_err();
    assert_eq!(error.code(), "signer-unavailable");
}

#[tokio::test]
async fn a_service_that_hangs_holds_no_signature_up_and_is_asked_again_soon() {
    let secrets = Secrets::start().await.unwrap();
    let port = secrets.url().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::before(port).await.unwrap();
    let clock = Arc::new(ManualClock::at(1_795_000_000_000));
    let client = services(None, None, Some(proxy.url())).secrets();
    let staging = Scope::Environment(EnvironmentId::parse("staging").unwrap());
    let names = BTreeMap::from([(Scope::Others, "manifest".to_owned()), (staging, "staging".to_owned())]);
    let world = World { signer: SecretSigner::new(client, names, clock.clone()), secrets, clock };
    let world = Arc::new(world);
    world.secrets.put("manifest", KEYS[0]);
    assert_eq!(world.signs("production").await, Ok(vec![0]));
    proxy.rule(Rule::always(Fault::Delay(Duration::from_hours(1))));
    let other = Arc::clone(&world);
    let hangs = tokio::spawn(async move { other.signs("staging").await });
    while proxy.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.signs("production").await, Ok(vec![0]));
    assert!(!hangs.is_finished(), "a secret that was never read holds up no other");
    hangs.abort();
    world.secrets.put("manifest", KEYS[1]);
    world.clock.advance(MAX_AGE_MS);
    for _ in 0..3 {
        assert_eq!(world.signs("production").await, Ok(vec![0]), "what was read before");
    }
    assert_eq!(proxy.asked().len(), 3, "one waits, once");
    proxy.clear();
    world.clock.advance(RETRY_MS - 1);
    assert_eq!(world.signs("production").await, Ok(vec![0]));
    world.clock.advance(1);
    assert_eq!(world.signs("production").await, Ok(vec![1]));
}
