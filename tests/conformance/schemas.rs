//! `list_identity_schemas` and `get_identity_schema`, directly and by the admin port's redirects.

use kratos_operator::kratos::{Client, ClientConfig};

use crate::fixtures::kratos;
use crate::testenv::kratos_schemas;

#[tokio::test]
async fn all_schemas_come_by_redirect_and_from_the_public_url_alike() {
    let (kratos, by_redirect) = kratos().await;
    let config = ClientConfig { public_url: Some(kratos.public_url()), ..ClientConfig::new(kratos.admin_url()) };
    let direct = Client::new(config).unwrap().on_behalf_of(&crate::testenv::kratos::somebody());
    let expected = kratos_schemas::all();
    for client in [by_redirect, direct] {
        let listed = client.list_identity_schemas().await.unwrap();
        assert_eq!(listed.len(), expected.len());
        for container in listed {
            assert_eq!(container.schema.as_ref(), Ok(&expected[&container.id]));
        }
        for (id, schema) in &expected {
            assert_eq!(client.get_identity_schema(id).await.unwrap(), Some(Ok(schema.clone())));
        }
        assert_eq!(client.get_identity_schema("nobody-has-this").await.unwrap(), None);
        assert_eq!(client.get_identity_schema("odd/../id ?x=%").await.unwrap(), None);
        assert_eq!(client.get_identity_schema("..").await.unwrap(), None);
    }
}
