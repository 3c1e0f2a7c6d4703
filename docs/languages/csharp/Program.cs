// Creates a session and reads it.

using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using Latchkey.Session.V1;

var address = Environment.GetEnvironmentVariable("ADDRESS") ?? "localhost:50051";
var ca = Environment.GetEnvironmentVariable("CA"); // a PEM file: TLS
var key = Environment.GetEnvironmentVariable("KEY"); // an API key

var handler = new SocketsHttpHandler();
if (ca != null)
{
    var policy = new X509ChainPolicy
    {
        TrustMode = X509ChainTrustMode.CustomRootTrust,
        RevocationMode = X509RevocationMode.NoCheck,
    };
    policy.CustomTrustStore.ImportFromPemFile(ca);
    handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
}
var headers = new Metadata();
if (key != null)
{
    headers.Add("authorization", $"Bearer {key}");
}
using var channel = GrpcChannel.ForAddress(
    $"{(ca == null ? "http" : "https")}://{address}",
    new GrpcChannelOptions { HttpHandler = handler });
var sessions = new SessionService.SessionServiceClient(channel);
DateTime Deadline() => DateTime.UtcNow.AddSeconds(5); // once for each call

var created = await sessions.CreateSessionAsync(
    new CreateSessionRequest
    {
        App = "shop",
        UserId = "ann",
        Data = new Struct { Fields = { ["cart"] = Value.ForNumber(2) } },
    },
    headers,
    Deadline());
var read = await sessions.GetSessionAsync(
    new GetSessionRequest { App = "shop", Token = created.Token }, headers, Deadline());
Console.WriteLine($"{read.Session.UserId} {read.Session.Data.Fields["cart"].NumberValue}");
