// Loads the client library of an engine, which the app has to install, and says so if it is missing.

/**
 * @param name of the package, for the message
 * @param load imports it
 * @throws Error that says how to install the package, if it is missing
 */
export async function loadPackage<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(`the package ${name} is not installed (npm install ${name})`, { cause: error })
  }
}
