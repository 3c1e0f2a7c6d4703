// Creates a session and reads it.

import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf
import SwiftProtobuf

@main
struct Client {
  static func main() async throws {
    let environment = ProcessInfo.processInfo.environment
    let address = (environment["ADDRESS"] ?? "localhost:50051").split(separator: ":")
    let ca = environment["CA"]  // a PEM file: TLS
    let key = environment["KEY"]  // an API key

    let transport = try HTTP2ClientTransport.Posix(
      target: .dns(host: String(address[0]), port: Int(address[1])!),
      transportSecurity: ca.map { file in
        .tls { $0.trustRoots = .certificates([.file(path: file, format: .pem)]) }
      } ?? .plaintext
    )
    let headers: Metadata = key.map { ["authorization": "Bearer \($0)"] } ?? [:]
    var callOptions = CallOptions.defaults
    callOptions.timeout = .seconds(5)  // of each call
    let options = callOptions

    try await withGRPCClient(transport: transport) { client in
      let sessions = Latchkey_Session_V1_SessionService.Client(wrapping: client)
      let created = try await sessions.createSession(
        .with {
          $0.app = "shop"
          $0.userID = "ann"
          $0.data.fields["cart"] = .with { $0.numberValue = 2 }
        },
        metadata: headers,
        options: options
      )
      let session = try await sessions.getSession(
        .with {
          $0.app = "shop"
          $0.token = created.token
        },
        metadata: headers,
        options: options
      ).session
      print(session.userID, Int(session.data.fields["cart"]?.numberValue ?? 0))
    }
  }
}
