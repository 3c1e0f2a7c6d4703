<?php

// Creates a session and reads it, by Connect over HTTP: PHP's gRPC is an extension that few hosts have.

require __DIR__ . '/vendor/autoload.php';

use Google\Protobuf\Internal\Message;
use Google\Protobuf\Struct;
use Google\Protobuf\Value;
use Latchkey\Session\V1\CreateSessionRequest;
use Latchkey\Session\V1\CreateSessionResponse;
use Latchkey\Session\V1\GetSessionRequest;
use Latchkey\Session\V1\GetSessionResponse;

/**
 * Calls a method of SessionService.
 *
 * @template T of Message
 * @param T $response
 * @return T what it answers
 */
function call(string $method, Message $request, Message $response): Message
{
    static $curl = null;
    $curl ??= curl_init(); // keeps its connection
    $address = getenv('ADDRESS') ?: 'localhost:8080'; // of the HTTP listener
    $ca = getenv('CA'); // a PEM file: TLS
    $key = getenv('KEY'); // an API key

    $scheme = $ca ? 'https' : 'http';
    $headers = ['content-type: application/proto', 'connect-protocol-version: 1'];
    if ($key) {
        $headers[] = "authorization: Bearer $key";
    }
    curl_setopt_array($curl, [
        CURLOPT_URL => "$scheme://$address/latchkey.session.v1.SessionService/$method",
        CURLOPT_POSTFIELDS => $request->serializeToString(),
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 5, // seconds, of each call
    ]);
    if ($ca) {
        curl_setopt($curl, CURLOPT_CAINFO, $ca);
    }
    $answer = curl_exec($curl);
    if ($answer === false) {
        throw new RuntimeException(curl_error($curl));
    }
    if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
        $error = json_decode($answer); // {"code": …, "message": …, "details": …}
        throw new RuntimeException("$error->code: $error->message");
    }
    $response->mergeFromString($answer);
    return $response;
}

$created = call(
    'CreateSession',
    new CreateSessionRequest([
        'app' => 'shop',
        'user_id' => 'ann',
        'data' => new Struct(['fields' => ['cart' => new Value(['number_value' => 2])]]),
    ]),
    new CreateSessionResponse(),
);
$session = call(
    'GetSession',
    new GetSessionRequest(['app' => 'shop', 'token' => $created->getToken()]),
    new GetSessionResponse(),
)->getSession();
echo $session->getUserId(), ' ', $session->getData()->getFields()['cart']->getNumberValue(), "\n";
