# Creates a session and reads it.

$LOAD_PATH.unshift File.join(__dir__, "lib")
require "google/protobuf/well_known_types"
require "latchkey/session/v1/session_service_services_pb"

include Latchkey::Session::V1

address = ENV.fetch("ADDRESS", "localhost:50051")
ca = ENV["CA"] # a PEM file: TLS
key = ENV["KEY"] # an API key

transport = ca ? GRPC::Core::ChannelCredentials.new(File.read(ca)) : :this_channel_is_insecure
headers = key ? { "authorization" => "Bearer #{key}" } : {}
sessions = SessionService::Stub.new(address, transport, timeout: 5) # seconds, of each call

created = sessions.create_session(
  CreateSessionRequest.new(
    app: "shop", user_id: "ann", data: Google::Protobuf::Struct.from_hash({ "cart" => 2 })
  ),
  metadata: headers
)
session = sessions.get_session(
  GetSessionRequest.new(app: "shop", token: created.token), metadata: headers
).session
puts "#{session.user_id} #{session.data.to_h["cart"].to_i}"
