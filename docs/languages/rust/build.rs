//! Makes the Rust code of the .proto files in proto/, by a protoc that Cargo gets.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::env::set_var("PROTOC", protoc_bin_vendored::protoc_bin_path()?);
    tonic_prost_build::configure()
        .build_server(false)
        .compile_protos(
            &["proto/latchkey/session/v1/session_service.proto"],
            &["proto"],
        )?;
    Ok(())
}
