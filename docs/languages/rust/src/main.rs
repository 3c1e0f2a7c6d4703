//! Creates a session and reads it.

use prost_types::{value::Kind, Struct, Value};
use session::session_service_client::SessionServiceClient;
use session::{CreateSessionRequest, GetSessionRequest};
use std::{collections::BTreeMap, env, error::Error, fs, time::Duration};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::Request;

mod session {
    tonic::include_proto!("latchkey.session.v1");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::var("ADDRESS").unwrap_or("localhost:50051".into());
    let ca = env::var("CA").ok(); // a PEM file: TLS
    let key = env::var("KEY").ok(); // an API key

    let scheme = if ca.is_some() { "https" } else { "http" };
    let mut endpoint = Channel::from_shared(format!("{scheme}://{address}"))?;
    endpoint = endpoint.timeout(Duration::from_secs(5)); // of each call
    if let Some(file) = ca {
        let ca = Certificate::from_pem(fs::read(file)?);
        endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(ca))?;
    }
    let authorization: Option<MetadataValue<Ascii>> =
        key.map(|key| format!("Bearer {key}").parse()).transpose()?;
    let authorize = move |mut request: Request<()>| {
        if let Some(value) = &authorization {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    };
    let channel = endpoint.connect().await?;
    let mut sessions = SessionServiceClient::with_interceptor(channel, authorize);

    let cart = Value {
        kind: Some(Kind::NumberValue(2.0)),
    };
    let created = sessions
        .create_session(CreateSessionRequest {
            app: "shop".into(),
            user_id: "ann".into(),
            data: Some(Struct {
                fields: BTreeMap::from([("cart".into(), cart)]),
            }),
            ..Default::default()
        })
        .await?
        .into_inner();
    let read = sessions
        .get_session(GetSessionRequest {
            app: "shop".into(),
            token: created.token,
            ..Default::default()
        })
        .await?
        .into_inner();
    let session = read.session.ok_or("no session")?;
    let cart = &session.data.unwrap_or_default().fields["cart"];
    if let Some(Kind::NumberValue(cart)) = cart.kind {
        println!("{} {cart}", session.user_id);
    }
    Ok(())
}
