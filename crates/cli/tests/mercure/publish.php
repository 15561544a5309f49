<?php

// Publishes the updates of its standard input, a JSON object a line, and prints what came of each: its id, or what the
// hub said to the exception that Symfony throws.

declare(strict_types=1);

use Symfony\Component\Mercure\Exception\RuntimeException;
use Symfony\Component\Mercure\Update;

require __DIR__.'/hub.php';

$hub = hub();
while ($line = fgets(STDIN)) {
    $update = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    try {
        echo $hub->publish(new Update(...$update)), "\n";
    } catch (RuntimeException $exception) {
        $answer = $exception->getPrevious()->getResponse();
        echo 'refused ', $answer->getStatusCode(), ' ', $answer->getContent(false), "\n";
    }
}
