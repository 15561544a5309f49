<?php

// The hub as a Symfony application knows it: by the variables that its recipe for Mercure has in `.env`. The bundle makes
// the same objects of them.

declare(strict_types=1);

use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\FactoryTokenProvider;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Jwt\TokenFactoryInterface;

require_once 'Symfony/Component/Mercure/autoload.php';

/** Signs tokens as `LcobucciFactory` does, whose library Debian does not have: `exp` has a fraction. */
final class TokenFactory implements TokenFactoryInterface
{
    public function __construct(private string $secret)
    {
    }

    public function create(?array $subscribe = [], ?array $publish = [], array $additionalClaims = []): string
    {
        $expires = $additionalClaims['exp'] ?? new DateTimeImmutable('+1 hour');
        $claims = [
            'exp' => (float) $expires->format('U.u'),
            'mercure' => array_filter(['publish' => $publish, 'subscribe' => $subscribe], 'is_array'),
        ];
        $signed = self::encode(json_encode(['typ' => 'JWT', 'alg' => 'HS256'])).'.'.self::encode(json_encode($claims));

        return $signed.'.'.self::encode(hash_hmac('sha256', $signed, $this->secret, true));
    }

    private static function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}

/** With a token of `MERCURE_JWT` if there is one, else with tokens that it makes itself. */
function hub(): Hub
{
    $tokens = new TokenFactory((string) getenv('MERCURE_JWT_SECRET'));
    $token = getenv('MERCURE_JWT');
    $provider = $token ? new StaticTokenProvider($token) : new FactoryTokenProvider($tokens, [], ['*']);

    return new Hub(getenv('MERCURE_URL'), $provider, $tokens, getenv('MERCURE_PUBLIC_URL') ?: null);
}
