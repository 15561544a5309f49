<?php

// An application for a browser, of Symfony's components: it logs a user in at the hub, shows a page that follows the
// user's private topic, and publishes what is posted to it. Run by PHP's own server, with node_modules as its folder.

declare(strict_types=1);

use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\Mercure\Authorization;
use Symfony\Component\Mercure\Discovery;
use Symfony\Component\Mercure\HubRegistry;
use Symfony\Component\Mercure\Update;
use Symfony\Component\WebLink\HttpHeaderSerializer;

require __DIR__.'/hub.php';

const PAGE = <<<'HTML'
    <!doctype html>
    <title>An application</title>
    <link rel=icon href=data:,>
    <script type=importmap>
      { "imports": {
        "@hotwired/turbo": "/@hotwired/turbo/dist/turbo.es2017-esm.js",
        "/@microsoft/fetch-event-source/lib/esm/fetch": "/@microsoft/fetch-event-source/lib/esm/fetch.js",
        "/@microsoft/fetch-event-source/lib/esm/parse": "/@microsoft/fetch-event-source/lib/esm/parse.js"
      } }
    </script>
    <script type=module src="/@symfony/ux-turbo/dist/mercure_stream_source_element.js"></script>
    <ul id=messages></ul>
    <turbo-mercure-stream-source private src="%s"></turbo-mercure-stream-source>
    HTML;

if (is_file($_SERVER['DOCUMENT_ROOT'].parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH))) {
    return false;
}
$request = Request::createFromGlobals();
$hub = hub();
$hubs = new HubRegistry($hub);
$topics = ['users/'.$request->query->get('user')];
$response = new Response();
switch ($request->getPathInfo()) {
    case '/':
        (new Discovery($hubs))->addLink($request);
        $links = $request->attributes->get('_links')->getLinks();
        $response->headers->set('Link', (new HttpHeaderSerializer())->serialize($links));
        $response->headers->setCookie((new Authorization($hubs))->createCookie($request, $topics));
        $url = $hub->getPublicUrl().'?'.http_build_query(['topic' => '*']);
        $response->setContent(sprintf(PAGE, htmlspecialchars($url)));
        break;
    case '/token':
        $response->setContent($hub->getFactory()->create($topics));
        break;
    case '/publish':
        $response->setContent($hub->publish(new Update($topics, $request->getContent(), true)));
        break;
    default:
        $response->setStatusCode(404);
}
$response->send();
