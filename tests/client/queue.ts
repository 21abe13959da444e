/** Values in the order they came, to be waited for. */
export interface Queue<T> {
  push(value: T): void;
  next(): Promise<T>;
}

/** Makes an empty queue. */
export function createQueue<T>(): Queue<T> {
  const values: T[] = [];
  const waiting: ((value: T) => void)[] = [];
  return {
    push(value) {
      const resolve = waiting.shift();
      if (resolve) resolve(value);
      else values.push(value);
    },
    next() {
      return new Promise((resolve) => {
        if (values.length > 0)
          resolve(values.shift() as T); // there is one
        else waiting.push(resolve);
      });
    },
  };
}
