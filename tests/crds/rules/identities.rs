//! Rows about `KratosIdentity`.

use serde_json::{Value, json};

use super::{Fate, Row, identity, update};

const PINNED: &str = "instanceRef can't be changed: delete the resource (deletion.policy Orphan keeps the identity) and \
                      make a new one";
const WINDOW: &str = "notBefore must lie before notAfter";
const EXPIRY: &str = "must be a duration such as 72h or 1h30m, at least 1m and at most 87600h";
const PERIOD: &str = "must be a duration such as 72h or 1h30m, at least 0s and at most 87600h";
const NO_RECOVERY: &str = "actions.recovery needs recovery, which says what is issued and into which Secret";

/// The rows.
pub fn rows() -> Vec<Row> {
    [references(), identities(), adoptions(), secrets(), credentials(), recoveries(), windows()].concat()
}

fn references() -> Vec<Row> {
    let named = |name: &str| json!({"instanceRef": {"name": name, "namespace": "identity"}});
    let refused = Fate::Refused(PINNED);
    vec![
        identity("an instance is named", &named("main"), Fate::Accepted),
        identity("no instance is named", &json!({}), Fate::Accepted),
        identity(
            "an instance without a name",
            &json!({"instanceRef": {"namespace": "identity"}}),
            Fate::Misshapen("spec.instanceRef.name"),
        ),
        identity(
            "an instance with an empty name",
            &json!({"instanceRef": {"name": ""}}),
            Fate::Misshapen("spec.instanceRef.name"),
        ),
        update(identity, "an instance is named later", &json!({}), &named("main"), Fate::Accepted),
        update(identity, "the instance stays", &named("main"), &named("main"), Fate::Accepted),
        update(identity, "another instance", &named("main"), &named("other"), refused),
        update(
            identity,
            "the instance of another namespace",
            &named("main"),
            &json!({"instanceRef": {"name": "main", "namespace": "other"}}),
            refused,
        ),
        update(identity, "no namespace any more", &named("main"), &json!({"instanceRef": {"name": "main"}}), refused),
        update(identity, "no instance any more", &named("main"), &json!({}), refused),
    ]
}

fn identities() -> Vec<Row> {
    vec![
        identity("an empty schema id", &json!({"schemaID": ""}), Fate::Misshapen("spec.schemaID")),
        identity("inactive", &json!({"state": "Inactive"}), Fate::Accepted),
        identity("a state in lower case", &json!({"state": "inactive"}), Fate::Misshapen("spec.state")),
        identity("exact traits", &json!({"traitsPolicy": "Exact"}), Fate::Accepted),
        identity(
            "a policy that doesn't exist",
            &json!({"traitsPolicy": "Replace"}),
            Fate::Misshapen("spec.traitsPolicy"),
        ),
        identity(
            "traits of any shape",
            &json!({"traits": {"a": [{"b": null}, 1.5], "0": "", "ключ": {}}}),
            Fate::Accepted,
        ),
        identity("traits that are no object", &json!({"traits": ["mail"]}), Fate::Misshapen("spec.traits")),
        identity(
            "metadata that is no object",
            &json!({"metadataPublic": "gold"}),
            Fate::Misshapen("spec.metadataPublic"),
        ),
        identity("a deletion without a policy", &json!({"deletion": {}}), Fate::Accepted),
        identity("a deletion that keeps the identity", &json!({"deletion": {"policy": "Orphan"}}), Fate::Accepted),
        identity(
            "a deletion that doesn't exist",
            &json!({"deletion": {"policy": "Retain"}}),
            Fate::Misshapen("spec.deletion.policy"),
        ),
        identity("a grace period", &json!({"deletion": {"policy": "Delete", "gracePeriod": "720h"}}), Fate::Accepted),
        identity("a grace period in days", &json!({"deletion": {"gracePeriod": "30d"}}), Fate::Refused(PERIOD)),
        identity("a grace period of the default policy", &json!({"deletion": {"gracePeriod": "0s"}}), Fate::Accepted),
        update(
            identity,
            "kept after all",
            &json!({"deletion": {"gracePeriod": "1h"}}),
            &json!({"deletion": {"policy": "Orphan", "gracePeriod": "1h"}}),
            Fate::Accepted,
        ),
        identity(
            "a grace period of what isn't deleted",
            &json!({"deletion": {"policy": "Deactivate", "gracePeriod": "1h"}}),
            Fate::Refused("gracePeriod goes with the policy Delete: what is deactivated isn't deleted"),
        ),
        identity("only observed", &json!({"mode": "Observe"}), Fate::Accepted),
        identity("a mode that doesn't exist", &json!({"mode": "DryRun"}), Fate::Misshapen("spec.mode")),
        identity("an empty external id", &json!({"externalID": ""}), Fate::Misshapen("spec.externalID")),
        identity("an external id as long as may be", &json!({"externalID": "ü".repeat(64)}), Fate::Accepted),
        identity("a longer one", &json!({"externalID": "x".repeat(65)}), Fate::Misshapen("spec.externalID")),
        identity("an organization", &json!({"organizationID": "0a0b0c0d-1111-2222-3333-444455556666"}), Fate::Accepted),
        identity("an organization by name", &json!({"organizationID": "acme"}), Fate::Misshapen("spec.organizationID")),
        identity("suspended by a word", &json!({"suspend": "yes"}), Fate::Misshapen("spec.suspend")),
    ]
}

fn adoptions() -> Vec<Row> {
    let adoption = |changes: Value| {
        let mut adoption = json!({"policy": "IfUnowned"});
        adoption.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        json!({ "adoption": adoption })
    };
    let id = "0a0b0c0d-1111-2222-3333-444455556666";
    let one = Fate::Refused("IfUnowned needs one of identifier, identityID and externalID");
    let verified = Fate::Refused("verifiedAddresses aren't for adopted identities: remove them, or adoption");
    let mut with_addresses = adoption(json!({"identityID": id}));
    with_addresses["verifiedAddresses"] = json!(["ada@example.com"]);
    vec![
        identity("an adoption by identifier", &adoption(json!({"identifier": "ada@example.com"})), Fate::Accepted),
        identity("an adoption by id", &adoption(json!({ "identityID": id })), Fate::Accepted),
        identity("an adoption of whom?", &adoption(json!({})), one),
        identity("an adoption by two names", &adoption(json!({"identifier": "ada", "identityID": id})), one),
        identity("an adoption by external id", &adoption(json!({"externalID": "crm-4711"})), Fate::Accepted),
        identity("an adoption by all", &adoption(json!({"identifier": "a", "identityID": id, "externalID": "c"})), one),
        identity("by a name", &adoption(json!({"identifier": "ada", "acceptUnverified": true})), Fate::Accepted),
        identity(
            "by an id that is unverified",
            &adoption(json!({"identityID": id, "acceptUnverified": true})),
            Fate::Refused("acceptUnverified goes with identifier: remove it"),
        ),
        identity("an adoption with addresses that are said to be verified", &with_addresses, verified),
    ]
}

fn secrets() -> Vec<Row> {
    let password =
        |name: &str| json!({"credentials": {"password": {"secretKeyRef": {"name": name, "key": "password"}}}});
    let elsewhere = Fate::Misshapen("spec.credentials.password.secretKeyRef.name");
    let required = Fate::Refused(
        "secretKeyRef is required: name the Secret, and its key, that holds the password (only the format MigrationHook \
         takes none)",
    );
    let superfluous = Fate::Refused("with the format MigrationHook nothing is read from a Secret: remove secretKeyRef");
    let mut migrated = password("ada");
    migrated["credentials"]["password"]["format"] = json!("MigrationHook");
    vec![
        identity("a password in a Secret", &password("ada.v2"), Fate::Accepted),
        identity("a Secret whose name leads elsewhere", &password("../identity/ada"), elsewhere),
        identity("a Secret of another namespace", &password("identity/ada"), elsewhere),
        identity("a password out of nowhere", &json!({"credentials": {"password": {}}}), required),
        identity("a hash out of nowhere", &json!({"credentials": {"password": {"format": "Hashed"}}}), required),
        identity("a migration", &json!({"credentials": {"password": {"format": "MigrationHook"}}}), Fate::Accepted),
        identity("a migration of a Secret", &migrated, superfluous),
    ]
}

fn credentials() -> Vec<Row> {
    let credentials = |credentials: Value| json!({ "credentials": credentials });
    let link = || json!([{"provider": "google", "subject": "1234"}]);
    let password = json!({"secretKeyRef": {"name": "ada", "key": "password"}});
    let both = |what: &str| {
        Fate::Refused(match what {
            "password" => "a password is given and must be absent: remove password, or Password from absent",
            "oidc" => "OIDC links are given and must be absent: remove oidc, or OIDC from absent",
            _ => "SAML links are given and must be absent: remove saml, or SAML from absent",
        })
    };
    let either = Fate::Refused("give either subject, or useAutoLink: true, where the first login makes the link");
    let too_long = Fate::Refused("provider and subject are too long together: Kratos keeps 254 characters of both");
    let long =
        |provider: usize, subject: usize| json!({"provider": "p".repeat(provider), "subject": "s".repeat(subject)});
    let all = json!(["TOTP", "WebAuthn", "LookupSecret", "Password", "OIDC", "SAML"]);
    vec![
        identity("links", &credentials(json!({"oidc": link(), "saml": link()})), Fate::Accepted),
        identity("everything absent", &credentials(json!({"absent": all, "revokeSessions": false})), Fate::Accepted),
        identity(
            "links, and others absent",
            &credentials(json!({"oidc": link(), "absent": ["Password", "SAML"]})),
            Fate::Accepted,
        ),
        identity("no links, and absent", &credentials(json!({"oidc": [], "absent": ["OIDC"]})), Fate::Accepted),
        identity(
            "a password that must be absent",
            &credentials(json!({"password": password, "absent": ["Password"]})),
            both("password"),
        ),
        identity(
            "OIDC links that must be absent",
            &credentials(json!({"oidc": link(), "absent": ["OIDC"]})),
            both("oidc"),
        ),
        identity(
            "SAML links that must be absent",
            &credentials(json!({"saml": link(), "absent": ["TOTP", "SAML"]})),
            both("saml"),
        ),
        identity(
            "a link to whom?",
            &credentials(json!({"saml": [{"provider": "okta"}]})),
            Fate::Misshapen("spec.credentials.saml[0].subject"),
        ),
        identity("a link to whom, then?", &credentials(json!({"oidc": [{"provider": "google"}]})), either),
        identity(
            "a link to whoever comes first",
            &credentials(json!({"oidc": [{"provider": "google", "useAutoLink": true}]})),
            Fate::Accepted,
        ),
        identity(
            "a link to somebody and to whoever comes first",
            &credentials(json!({"oidc": [{"provider": "google", "subject": "1", "useAutoLink": true}]})),
            either,
        ),
        identity(
            "two links to one provider",
            &credentials(
                json!({"oidc": [{"provider": "google", "subject": "1"}, {"provider": "google", "subject": "2"}]}),
            ),
            Fate::Accepted,
        ),
        identity("a link as long as may be", &credentials(json!({ "oidc": [long(6, 248)] })), Fate::Accepted),
        identity("a longer link", &credentials(json!({ "saml": [long(7, 248)] })), too_long),
        identity(
            "a provider that isn't one",
            &credentials(json!({"oidc": [{"provider": "goo:gle", "subject": "1"}]})),
            Fate::Misshapen("spec.credentials.oidc[0].provider"),
        ),
        identity(
            "too many links",
            &credentials(json!({"saml": vec![link()[0].clone(); 17]})),
            Fate::Misshapen("spec.credentials.saml"),
        ),
        identity(
            "a kind that doesn't exist absent",
            &credentials(json!({"absent": ["Passkey"]})),
            Fate::Misshapen("spec.credentials.absent[0]"),
        ),
    ]
}

fn recoveries() -> Vec<Row> {
    let recovery = |changes: Value| {
        let mut recovery = json!({"type": "Link", "secretName": "ada.way-in"});
        recovery.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        json!({ "recovery": recovery })
    };
    let expires_in = |text: &str| recovery(json!({ "expiresIn": text }));
    let action = json!({"recovery": {"token": "1"}});
    let mut with_action = recovery(json!({}));
    with_action["actions"] = action.clone();
    let flow_type = Fate::Misshapen("spec.recovery.flowType");
    let no_flow_type = Fate::Refused("flowType goes with type Code: remove it");
    let no_return = Fate::Refused("returnTo goes with type Link: remove it");
    let no_url = Fate::Refused("returnTo must be a whole URL, as in https://app.example.com/welcome");
    let mut rows = vec![
        identity("a recovery by link", &recovery(json!({})), Fate::Accepted),
        identity("a recovery by code", &recovery(json!({"type": "Code"})), Fate::Accepted),
        identity("by a letter", &recovery(json!({"type": "Letter"})), Fate::Misshapen("spec.recovery.type")),
        identity("no Secret", &json!({"recovery": {"type": "Link"}}), Fate::Misshapen("spec.recovery.secretName")),
        identity("another one, by a token", &with_action, Fate::Accepted),
        identity("a token for no recovery", &json!({ "actions": action }), Fate::Refused(NO_RECOVERY)),
        identity("no time at all", &expires_in("0s"), Fate::Refused(EXPIRY)),
        identity("less than a minute", &expires_in("59s"), Fate::Refused(EXPIRY)),
        identity("years", &expires_in("26280h"), Fate::Accepted),
        identity("more than ten years", &expires_in("87601h"), Fate::Refused(EXPIRY)),
        identity("a code for an application", &recovery(json!({"type": "Code", "flowType": "API"})), Fate::Accepted),
        identity("a code for a browser", &recovery(json!({"type": "Code", "flowType": "Browser"})), Fate::Accepted),
        identity("a code for a phone", &recovery(json!({"type": "Code", "flowType": "Phone"})), flow_type),
        identity("a link for an application", &recovery(json!({"flowType": "API"})), no_flow_type),
        identity(
            "a link that leads on",
            &recovery(json!({"returnTo": "https://app.example.com/in?a=b"})),
            Fate::Accepted,
        ),
        identity(
            "a code that leads on",
            &recovery(json!({"type": "Code", "returnTo": "https://a.example"})),
            no_return,
        ),
        identity("a link that leads to a path", &recovery(json!({"returnTo": "/welcome"})), no_url),
        identity("a link that leads to a script", &recovery(json!({"returnTo": "javascript:alert(1)"})), no_url),
        identity("a minute", &expires_in("1m"), Fate::Accepted),
        identity("a week in days", &expires_in("7d"), Fate::Refused(EXPIRY)),
    ];
    for name in ["", "../identity/ada", "identity/ada", "Ada", "a..b", "-ada"] {
        let fate = Fate::Misshapen("spec.recovery.secretName");
        rows.push(identity("a Secret of no name", &recovery(json!({ "secretName": name })), fate));
    }
    rows
}

fn windows() -> Vec<Row> {
    let window = |window: Value| json!({ "validity": window });
    let (first, second) = ("2026-12-01T00:00:00Z", "2027-12-01T00:00:00Z");
    let bad_date = Fate::Misshapen("spec.validity.notAfter");
    vec![
        identity("valid for a time", &window(json!({"notBefore": first, "notAfter": second})), Fate::Accepted),
        identity("valid from a time on", &window(json!({ "notBefore": first })), Fate::Accepted),
        identity("valid until a time", &window(json!({ "notAfter": first })), Fate::Accepted),
        identity("a window that says nothing", &window(json!({})), Fate::Refused("name notBefore, notAfter or both")),
        identity(
            "a window that ends before it begins",
            &window(json!({"notBefore": second, "notAfter": first})),
            Fate::Refused(WINDOW),
        ),
        identity(
            "a window without any time in it",
            &window(json!({"notBefore": first, "notAfter": first})),
            Fate::Refused(WINDOW),
        ),
        identity("a day that doesn't exist", &window(json!({"notAfter": "2027-02-30T00:00:00Z"})), bad_date),
        identity("a date without a time", &window(json!({"notAfter": "2027-12-01"})), bad_date),
        identity("a time in words", &window(json!({"notAfter": "tomorrow"})), bad_date),
        identity("a time as a number", &window(json!({"notAfter": 1_796_083_200})), bad_date),
    ]
}
