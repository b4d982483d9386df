import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { keyOf } from './resource.ts';
import { Store } from './store.ts';
import { type Widget, widget } from './testing/test-support.ts';

const byColour = { colour: (object: Widget) => (object.colour === undefined ? [] : object.colour.split('+')) };

describe('Store', () => {
  test('put() tells additions from updates', () => {
    const store = new Store<Widget>();
    const [first, second] = [widget('a', 1), widget('a', 2)];
    assert.deepEqual(store.put(first), [{ type: 'added', current: first }]);
    assert.deepEqual(store.put(second), [{ type: 'updated', previous: first, current: second }]);
    assert.equal(store.get('ns/a'), second);
  });

  test('put() of an object that took another one’s name is a deletion and an addition', () => {
    const store = new Store<Widget>();
    const [first, second] = [widget('a', 1, { uid: 'one' }), widget('a', 2, { uid: 'two' })];
    store.put(first);
    assert.deepEqual(store.put(second), [
      { type: 'deleted', previous: first },
      { type: 'added', current: second },
    ]);
  });

  test('remove() of what is not there changes nothing', () => {
    assert.deepEqual(new Store<Widget>().remove('ns/a'), []);
  });

  test('byIndex() refuses an index that does not exist', () => {
    assert.throws(() => new Store<Widget>(byColour).byIndex('size', '1'), /no.* of that name/);
  });

  test('an index function that throws leaves the store as it was', () => {
    const store = new Store<Widget>({
      colour: (object) => {
        if (object.colour === undefined) throw new Error('No colour');
        return [object.colour];
      },
    });
    const red = widget('a', 1, { colour: 'red' });
    store.put(red);
    assert.throws(() => store.put(widget('a', 2)), /No colour/);
    assert.deepEqual(store.byIndex('colour', 'red'), [red]);
  });

  test('after any writes, each index holds exactly what its function says', () => {
    const write = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      colour: fc.constantFrom('red', 'blue', 'red+blue', 'red+red', undefined),
      isRemoval: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(write), (writes) => {
        const store = new Store<Widget>(byColour);
        const model = new Map<string, Widget>();
        for (const [version, { name, colour, isRemoval }] of writes.entries()) {
          const object = widget(name, version, colour === undefined ? {} : { colour });
          if (isRemoval) {
            store.remove(keyOf(object));
            model.delete(keyOf(object));
          } else {
            store.put(object);
            model.set(keyOf(object), object);
          }
        }
        assert.deepEqual(new Set(store.list()), new Set(model.values()));
        assert.equal(store.size, model.size);
        for (const colour of ['red', 'blue']) {
          const expected = [...model.values()].filter((object) => object.colour?.includes(colour));
          const found = store.byIndex('colour', colour);
          assert.equal(found.length, expected.length);
          assert.deepEqual(new Set(found), new Set(expected));
        }
      }),
    );
  });
});
